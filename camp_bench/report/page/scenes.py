"""Scenes of the toy dataset as small drawings: what is there, in which colour and size, and how it relates."""

from __future__ import annotations

from camp_bench.data.toy.scenes import Scene, Thing

__all__ = ["scene_svg"]

WIDTH, HEIGHT, GROUND = 160, 118, 72
INKS = {"black": "#222", "white": "#fff", "brown": "#8b5a2b", "grey": "#8f959c", "pink": "#f29bb7", "yellow": "#f5d33b"}
"""Those colours whose names mean something else, or too little, in CSS."""
SKIES = {
    "beach": ("#cfe8f7", "#f0dfa8"),
    "park": ("#d7ecfa", "#b9dba0"),
    "street": ("#dde3ea", "#a9adb3"),
    "field": ("#d7ecfa", "#cfd98a"),
    "snow": ("#dfe9f3", "#f7fafc"),
    "lake": ("#d7ecfa", "#8fc1dd"),
    "station": ("#e3e1dc", "#bdb7ae"),
}
INDOORS = ("#f3e9dc", "#d9c3a5")
ABOVE, BELOW = ("on", "riding"), ("under",)


def scene_svg(scene: Scene) -> str:
    """Return an svg of the scene; its words are the dataset's own."""
    sky, ground = SKIES.get(scene.place, INDOORS)
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="7.5"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{sky}"/>',
        f'<rect y="{GROUND - 8}" width="{WIDTH}" height="{HEIGHT - GROUND + 8}" fill="{ground}"/>',
    ]
    standing = sorted(zip(scene.things, _places(scene), strict=True), key=lambda item: item[1][1])
    parts += [_thing(thing, x, y) for thing, (x, y) in standing]  # what is behind first
    told = [f"{scene.things[a].kind} {name} {scene.things[b].kind}" for a, name, b in scene.relations]
    lines = [*told, scene.place]
    parts += [_words(WIDTH / 2, HEIGHT - 4.0 - 9 * number, text) for number, text in enumerate(reversed(lines))]
    return "".join([*parts, "</svg>"])


def _places(scene: Scene) -> list[tuple[float, float]]:
    """Return where each thing stands: side by side, but for those that a relation puts above or below another."""
    step = WIDTH / len(scene.things)
    spots = [(step * (number + 0.5), float(GROUND)) for number in range(len(scene.things))]
    for a, name, b in scene.relations:
        if name in ABOVE:
            spots[a] = (spots[b][0], spots[b][1] - 26)
        elif name == "holding":
            spots[b] = (spots[a][0] + 11, spots[a][1] - 3)
        elif name in BELOW:
            spots[a], spots[b] = spots[b], (spots[b][0], spots[b][1] - 26)
        elif name == "behind":
            spots[a] = (spots[b][0] + 13, spots[b][1] - 9)
    return [(min(max(x, 14.0), WIDTH - 14.0), y) for x, y in spots]


def _thing(thing: Thing, x: float, y: float) -> str:
    size = {"small": 0.7, "large": 1.3}.get(thing.size or "", 1.0)
    fill = INKS.get(thing.colour, thing.colour)
    shape = SHAPES[thing.group].replace("FILL", fill)
    tilt = " rotate(75)" if thing.state == "sleeping" else ""
    drawn = f'<g transform="translate({x:.0f} {y:.0f}) scale({size}){tilt}" stroke="#333" stroke-width=".7">{shape}</g>'
    return drawn + _words(x, y + 7, thing.kind)


_WHEELS = '<circle cx="-8" cy="-2" r="3"/><circle cx="8" cy="-2" r="3"/>'
SHAPES = {
    "person": '<circle cy="-19" r="4.5" fill="#e8c39e"/><path d="M-5 0V-14H5V0Z" fill="FILL"/>',
    "animal": '<path d="M-7 0V-6M7 0V-6"/><ellipse cy="-8" rx="9" ry="5" fill="FILL"/>'
    '<circle cx="9" cy="-13" r="3.6" fill="FILL"/>',
    "vehicle": f'<path d="M-14 -3V-10L-8 -17H7L14 -10V-3Z" fill="FILL"/>{_WHEELS}',
    "furniture": '<path d="M-9 0V-8M9 0V-8"/><rect x="-11" y="-12" width="22" height="5" fill="FILL"/>',
    "item": '<rect x="-5" y="-10" width="10" height="10" rx="2.5" fill="FILL"/>',
}


def _words(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle" fill="#111">{text}</text>'
