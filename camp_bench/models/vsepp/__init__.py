"""VSE++ and order embeddings (Faghri et al., BMVC 2018; Vendrov et al., ICLR 2016)."""

__all__: list[str] = []
