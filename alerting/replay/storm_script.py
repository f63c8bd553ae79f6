"""The script of the stormy day: what happens, and how each agency words it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alerting.domain.alert import Category, ResponseType, Severity, Status, Urgency

EXTREME, SEVERE, MODERATE, MINOR = (
    Severity.EXTREME,
    Severity.SEVERE,
    Severity.MODERATE,
    Severity.MINOR,
)
IMMEDIATE, EXPECTED = Urgency.IMMEDIATE, Urgency.EXPECTED
SHELTER, EVACUATE, PREPARE, MONITOR = (
    ResponseType.SHELTER,
    ResponseType.EVACUATE,
    ResponseType.PREPARE,
    ResponseType.MONITOR,
)

POLICE, CIVIL, WEATHER, FIRE, TOWN = (
    "police",
    "civil-protection",
    "weather-service",
    "fire-brigade",
    "municipality",
)


@dataclass(frozen=True, slots=True)
class Text:
    """A danger in one language. voices: how each agency describes it."""

    event: str
    voices: Mapping[str, str]
    instructions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Danger:
    """place: region, valley, plant or district."""

    category: Category
    place: str
    lasts_h: float
    texts: Mapping[str, Text]
    status: Status = Status.ACTUAL


@dataclass(frozen=True, slots=True)
class Step:
    """One alert of the script.

    Attributes:
        change: Why it is issued.
        thread: Distinguishes several threads of an agency about one danger.
        size: Of the area, 1 at first.
        advice: Which of the danger's instructions it has.
        late_h: How much later than sent it arrives.
    """

    at_h: float
    danger: str
    agency: str
    change: str
    severity: Severity = MODERATE
    urgency: Urgency = EXPECTED
    responses: tuple[ResponseType, ...] = (MONITOR,)
    languages: tuple[str, ...] = ("en",)
    thread: str = ""
    size: float = 1.0
    advice: int = 0
    late_h: float = 0.0

    @property
    def ends(self) -> bool:
        return self.change in {"end", "cancel"}


def _voices(**more: str) -> dict[str, str]:
    return {name.replace("_", "-"): text for name, text in more.items()}


ENDINGS = {"en": "All clear: {event} is over.", "fr": "Fin d'alerte : {event} est terminé."}

#: Typical changes of wording in updates.
NOTES = {
    "en": (
        "This information is checked every hour.",
        "The next bulletin follows as soon as there is news.",
        "Thank you for telling your neighbours.",
        "Our teams are on the spot.",
        "Please keep the emergency number free.",
    ),
    "fr": (
        "Cette information est vérifiée chaque heure.",
        "Le prochain bulletin suivra.",
        "Merci de prévenir vos voisins.",
    ),
}

_WIND = Text(
    "Violent storm",
    _voices(
        weather_service="Gusts of 110 km/h move over {place} from the west.",
        civil_protection="A violent storm with gusts above 100 km/h crosses {place}.",
        municipality="Violent storm over {place}: gusts of more than 100 km/h.",
        fire_brigade="Violent storm at {place}, gusts bring down trees and roofs.",
    ),
    ("Stay away from trees and scaffolds.", "Stay indoors and keep away from windows."),
)
_WIND_FR = Text(
    "Tempête violente",
    _voices(weather_service="Des rafales de 110 km/h traversent {place} par l'ouest."),
    (
        "Éloignez-vous des arbres et des échafaudages.",
        "Restez à l'intérieur, loin des fenêtres.",
    ),
)
_FLOOD = Text(
    "Flash flood",
    _voices(
        civil_protection="The river Wend has left its bed at Gorsebridge; {place} is flooding.",
        police="Flash flood: the Wend is over its banks at Gorsebridge, {place} is flooding.",
        fire_brigade="Water of the Wend rises fast between Gorsebridge and the sea ({place}).",
        municipality="The Wend floods {place} below Gorsebridge; low streets are under water.",
    ),
    (
        "Move what you need upstairs.",
        "Leave the valley now by the road to Highmoor.",
    ),
)
_GAS = Text(
    "Toxic smoke",
    _voices(
        fire_brigade="Fire at the Brackwater works in Quay Street sends toxic smoke over {place}.",
        police="Toxic smoke from the fire at the Brackwater works, Quay Street: danger {place}.",
        civil_protection="The Brackwater works are burning, toxic smoke drifts {place}.",
    ),
    ("Go inside, close doors and windows, switch ventilation off.",),
)
_GAS_FR = Text(
    "Fumée toxique",
    _voices(fire_brigade="L'incendie de l'usine Brackwater répand une fumée toxique ({place})."),
    ("Rentrez, fermez portes et fenêtres, coupez la ventilation.",),
)
_MISSING = Text(
    "Missing child",
    _voices(
        police="A girl of seven, Wren, in a yellow coat was last seen at Tanner Market.",
        municipality="Wren, seven years old, yellow coat, is missing from Tanner Market.",
    ),
    ("If you see her, stay with her and call the police.",),
)
_POWER = Text(
    "Power cut",
    _voices(municipality="There is no electricity in {place}."),
    ("Switch off cookers and irons.",),
)
DANGERS: Mapping[str, Danger] = {
    "wind": Danger(Category.MET, "region", 14, {"en": _WIND, "fr": _WIND_FR}),
    "flood": Danger(Category.MET, "valley", 12, {"en": _FLOOD}),
    "smoke": Danger(Category.CBRNE, "plant", 8, {"en": _GAS, "fr": _GAS_FR}),
    "missing": Danger(Category.RESCUE, "region", 24, {"en": _MISSING}),
    "power": Danger(Category.INFRA, "district", 10, {"en": _POWER}),
    "drill": Danger(Category.MET, "valley", 4, {"en": _FLOOD}, Status.EXERCISE),
}

#: In the order of `at_h` within each thread; forty alerts.
STEPS: tuple[Step, ...] = (
    # The storm: expected at first, severe after six hours, over after fourteen.
    Step(0.0, "wind", WEATHER, "new"),
    Step(0.2, "wind", WEATHER, "translation", languages=("fr",), thread="weather-fr"),
    Step(0.5, "wind", CIVIL, "copy"),
    Step(1.5, "wind", WEATHER, "text"),
    Step(2.5, "wind", WEATHER, "text", late_h=5),
    Step(3.0, "wind", CIVIL, "text"),
    Step(3.5, "wind", WEATHER, "text"),
    Step(6.0, "wind", WEATHER, "raised", SEVERE, IMMEDIATE, (SHELTER,), advice=1),
    Step(
        6.2,
        "wind",
        WEATHER,
        "translation",
        SEVERE,
        IMMEDIATE,
        (SHELTER,),
        ("fr",),
        "weather-fr",
        advice=1,
    ),
    Step(6.5, "wind", CIVIL, "raised", SEVERE, IMMEDIATE, (SHELTER,), advice=1),
    Step(7.0, "wind", TOWN, "copy", SEVERE, IMMEDIATE, (SHELTER,), advice=1),
    Step(7.5, "wind", FIRE, "copy", SEVERE, IMMEDIATE, (SHELTER,), advice=1),
    Step(8.5, "wind", WEATHER, "text", SEVERE, IMMEDIATE, (SHELTER,), advice=1),
    Step(10.0, "wind", WEATHER, "text", SEVERE, IMMEDIATE, (SHELTER,), advice=1),
    Step(11.5, "wind", TOWN, "text", SEVERE, IMMEDIATE, (SHELTER,), advice=1),
    Step(12.5, "wind", CIVIL, "text", SEVERE, IMMEDIATE, (SHELTER,), advice=1),
    Step(14.0, "wind", WEATHER, "end"),
    Step(14.3, "wind", WEATHER, "end", languages=("fr",), thread="weather-fr"),
    Step(14.6, "wind", CIVIL, "end"),
    Step(14.8, "wind", TOWN, "end"),
    Step(15.0, "wind", FIRE, "cancel"),
    # The flood that follows the rain.
    Step(7.2, "flood", CIVIL, "new", SEVERE, EXPECTED, (PREPARE,)),
    Step(7.8, "flood", TOWN, "copy", SEVERE, EXPECTED, (PREPARE,)),
    Step(8.8, "flood", CIVIL, "text", SEVERE, EXPECTED, (PREPARE,)),
    Step(9.5, "flood", CIVIL, "raised", EXTREME, IMMEDIATE, (EVACUATE,), advice=1),
    Step(9.8, "flood", POLICE, "copy", EXTREME, IMMEDIATE, (EVACUATE,), advice=1),
    Step(10.4, "flood", FIRE, "copy", EXTREME, IMMEDIATE, (EVACUATE,), advice=1),
    Step(11.0, "flood", CIVIL, "grown", EXTREME, IMMEDIATE, (EVACUATE,), advice=1, size=1.4),
    Step(17.0, "flood", CIVIL, "end", size=1.4),
    # Smoke after all that is over.
    Step(18.2, "smoke", FIRE, "new", EXTREME, IMMEDIATE, (SHELTER,), ("en", "fr")),
    Step(18.6, "smoke", POLICE, "copy", EXTREME, IMMEDIATE, (SHELTER,)),
    Step(19.0, "smoke", FIRE, "text", EXTREME, IMMEDIATE, (SHELTER,), ("en", "fr")),
    Step(19.6, "smoke", FIRE, "grown", EXTREME, IMMEDIATE, (SHELTER,), ("en", "fr"), size=1.5),
    Step(23.0, "smoke", FIRE, "end", languages=("en", "fr"), size=1.5),
    # Other alerts of such a day.
    Step(4.0, "missing", POLICE, "new"),
    Step(4.5, "missing", TOWN, "copy"),
    Step(5.0, "missing", POLICE, "text"),
    Step(8.0, "missing", POLICE, "cancel"),
    Step(12.0, "power", TOWN, "new", MINOR),
    Step(13.5, "drill", CIVIL, "new", EXTREME, IMMEDIATE, (EVACUATE,), advice=1),
)
