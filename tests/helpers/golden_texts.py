"""The golden texts: every kind of message in eight languages, on every channel and as a page.

    python tests/helpers/golden_texts.py            writes tests/helpers/golden
    python tests/helpers/golden_texts.py --table    prints the table of docs/texts.md

`--before DIRECTORY` adds to the table what the version checked out there makes of the same alerts.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from alerting.channels.base import Rendering
from alerting.channels.render import render
from alerting.dispatch.intake.cancel_notice import notice_of
from alerting.domain.alert import (
    Alert,
    Area,
    Category,
    Certainty,
    Info,
    MsgType,
    ResponseType,
    Scope,
    Severity,
    Status,
    Urgency,
)
from alerting.domain.alert_state import AlertState
from alerting.domain.segments import measure

GOLDEN = Path(__file__).parent / "golden"

#: Each with the citizen's time zone.
LANGUAGES = {
    "en": "Europe/London",
    "de": "Europe/Berlin",
    "fr": "Europe/Paris",
    "es": "Europe/Madrid",
    "uk": "Europe/Kyiv",
    "ar": "Asia/Riyadh",
    "ja": "Asia/Tokyo",
    "el": "Europe/Athens",
}
CODE_LINK = "https://alerts.example.org/aB3dE6gH"
#: As long as the links of the version before.
LONG_LINK = "https://alerts.example.org/a/7c9e6679-7425-40de-944b-e07fc1f90ae7"
OWN_LINK = f"https://alerts.example.org/x/{'m9UxVjqmR' * 4}_w"

SENT = datetime(2026, 11, 3, 12, 0, tzinfo=timezone(timedelta(hours=1)))

#: Sender, event, headline, description, instruction, corrected headline, all clear, place.
_TEXTS = {
    "en": (
        "Example Valley Centre",
        "Dam failure",
        "Dam failing: leave the valley floor now",
        "The dam above Exampleton is giving way. Water reaches the town within an hour.",
        "Walk uphill to the chapel. Leave cars and animals.",
        "Dam failing: leave the valley floor, the bridge is closed",
        "You may go home.",
        "Exampleton",
    ),
    "de": (
        "Leitstelle Beispieltal",
        "Dammbruch",
        "Damm bricht: Verlassen Sie sofort den Talboden",
        "Der Damm oberhalb von Beispielstadt gibt nach. Das Wasser erreicht die Stadt binnen einer "
        "Stunde.",
        "Gehen Sie zu Fuß zur Kapelle hinauf. Lassen Sie Autos und Tiere zurück.",
        "Damm bricht: Verlassen Sie den Talboden, die Brücke ist gesperrt",
        "Sie können nach Hause zurückkehren.",
        "Beispielstadt",
    ),
    "fr": (
        "Centre de la vallée",
        "Rupture de barrage",
        "Le barrage cède : quittez le fond de la vallée",
        "Le barrage en amont d’Exempleville cède. L’eau atteint la ville en moins d’une heure.",
        "Montez à pied à la chapelle. Laissez voitures et animaux.",
        "Le barrage cède : quittez la vallée, le pont est fermé",
        "Vous pouvez rentrer chez vous.",
        "Exempleville",
    ),
    "es": (
        "Centro del Valle",
        "Rotura de presa",
        "La presa cede: abandone ya el fondo del valle",
        "La presa sobre Ejemplar cede. El agua llega al pueblo en menos de una hora.",
        "Suba a pie hasta la capilla. Deje coches y animales.",
        "La presa cede: abandone el valle, el puente está cerrado",
        "Puede volver a casa.",
        "Ejemplar",
    ),
    "uk": (
        "Центр долини",
        "Прорив дамби",
        "Дамба руйнується: негайно залиште дно долини",
        "Дамба над Прикладом руйнується. Вода дійде до міста за годину.",
        "Ідіть пішки вгору до каплиці. Залиште машини й тварин.",
        "Дамба руйнується: залиште долину, міст закрито",
        "Можна повертатися додому.",
        "Приклад",
    ),
    "ar": (
        "مركز الوادي",
        "انهيار السد",
        "السد ينهار: غادروا قاع الوادي فورًا",
        "السد فوق البلدة ينهار. تصل المياه إلى البلدة خلال ساعة.",
        "اصعدوا سيرًا إلى الكنيسة. اتركوا السيارات والحيوانات.",
        "السد ينهار: غادروا الوادي، الجسر مغلق",
        "يمكنكم العودة إلى منازلكم.",
        "البلدة",
    ),
    "ja": (
        "谷防災センター",
        "ダム決壊",
        "ダム決壊：直ちに谷底を離れてください",
        "町の上流のダムが崩れています。水は一時間以内に町に達します。",
        "歩いて高台の礼拝堂へ。車や家畜は置いていくこと。",
        "ダム決壊：谷を離れてください。橋は通れません",
        "帰宅できます。",
        "例町",
    ),
    "el": (
        "Κέντρο Κοιλάδας",
        "Ρήξη φράγματος",
        "Το φράγμα υποχωρεί: φύγετε από την κοιλάδα",
        "Το φράγμα πάνω από την πόλη υποχωρεί. Το νερό φτάνει στην πόλη σε μία ώρα.",
        "Ανεβείτε με τα πόδια στο ξωκλήσι. Αφήστε αυτοκίνητα και ζώα.",
        "Το φράγμα υποχωρεί: φύγετε, η γέφυρα είναι κλειστή",
        "Μπορείτε να γυρίσετε στο σπίτι.",
        "Παράδειγμα",
    ),
}

#: What each kind of message is, in the order of the table.
FRAMES = (
    "first alert",
    "correction",
    "extension",
    "all clear",
    "ended",
    "cancelled",
    "false alarm",
    "exercise",
    "test",
    "another in force",
    "English alert",
)


def message(frame: str, language: str) -> Alert:
    """The alert of this kind in this language; an English one for the kind of that name."""
    in_language = "en" if frame == "English alert" else language
    sender, event, headline, description, instruction, corrected, home, place = _TEXTS[in_language]
    info = Info(
        categories=(Category.INFRA,),
        event=event,
        urgency=Urgency.IMMEDIATE,
        severity=Severity.EXTREME,
        certainty=Certainty.OBSERVED,
        language=in_language,
        response_types=(ResponseType.EVACUATE,),
        expires=SENT + timedelta(hours=6),
        sender_name=sender,
        headline=headline,
        description=description,
        instruction=instruction,
        areas=(Area(place),),
    )
    first = Alert(
        "dam-1", "valley@example.org", SENT, Status.ACTUAL, MsgType.ALERT, Scope.PUBLIC,
        infos=(info,),
    )  # fmt: skip
    update = replace(first, msg_type=MsgType.UPDATE, references=(first.triple,))
    passed: dict[str, Any] = {
        "urgency": Urgency.PAST,
        "description": None,
        "instruction": home,
        "headline": event,
    }
    match frame:
        case "correction":
            return replace(update, infos=(replace(info, headline=corrected),))
        case "extension":
            return replace(update, infos=(replace(info, expires=SENT + timedelta(hours=30)),))
        case "all clear":
            over = replace(info, **passed, response_types=(ResponseType.ALL_CLEAR,))
            return replace(update, infos=(over,))
        case "ended":
            return replace(update, infos=(replace(info, **passed, response_types=()),))
        case "another in force":
            silent = passed | {"instruction": None}
            return replace(update, infos=(replace(info, **silent, response_types=()),))
        case "cancelled" | "false alarm":
            return notice_of(
                [message("English alert", language)],
                now=SENT + timedelta(hours=1),
                reason="",
                false_alarm=frame == "false alarm",
                valid_s=3600,
            )
        case "exercise" | "test":
            return replace(first, status=Status(frame.title()))
    return first


def texts(frame: str, language: str) -> dict[str, str]:
    """What each channel says, and the page, by its name."""
    which = message(frame, language)
    made = {}
    for channel in ("sms", "email", "push"):
        r = _rendered(which, channel, language, frame, CODE_LINK)
        made[channel] = "\n\n".join(filter(None, (r.subject, r.text)))
    # The version before has no such room.
    from alerting.citizen.alert_page import alert_page, reading

    made["page"] = alert_page(
        which, AlertState.DELIVERING, reading=reading(which, language), path="/aB3dE6gH"
    )
    return made


def _rendered(which: Alert, channel: str, language: str, frame: str, link: str) -> Rendering:
    known = inspect.signature(render).parameters
    more: dict[str, Any] = {
        "still": frame == "another in force",
        "time_zone": LANGUAGES[language],
    }
    return render(
        which,
        info_no=0,
        area_no=0,
        channel=channel,
        language=language,
        link=link,
        **{name: value for name, value in more.items() if name in known},
    )


def golden(language: str) -> str:
    """The golden file of one language."""
    parts: list[str] = []
    for frame in FRAMES:
        for where, text in texts(frame, language).items():
            size = measure(text)
            cost = f": {size.count} × {size.encoding}" if where == "sms" else ""
            parts.append(f"═══ {frame}, {where}{cost}\n{text.strip()}\n")
    return "\n".join(parts)


def sizes() -> dict[str, dict[str, str]]:
    """How each SMS travels, by kind and language, with the link this version makes."""
    short = "time_zone" in inspect.signature(render).parameters
    found: dict[str, dict[str, str]] = {}
    for frame in FRAMES:
        long = OWN_LINK if frame in {"exercise", "test"} else LONG_LINK
        link = CODE_LINK if short else long
        row = found[frame] = {}
        for language in LANGUAGES:
            text = _rendered(message(frame, language), "sms", language, frame, link).text
            cut = "…" in text or "..." in text
            if frame == "another in force" and not short:
                row[language] = "–"
                continue
            row[language] = f"{measure(text).count}{'*' if cut else ''}"
    return found


def table(before: dict[str, dict[str, str]]) -> Iterator[str]:
    """The lines of the table in docs/texts.md."""
    yield f"| | {' | '.join(LANGUAGES)} |"
    yield f"|---|{'---|' * len(LANGUAGES)}"
    for frame, row in sizes().items():
        cells = (f"{before[frame][tag]} → {size}" if before else size for tag, size in row.items())
        yield f"| {frame} | {' | '.join(cells)} |"


def main(arguments: list[str]) -> None:
    if "--sizes" in arguments:
        print(json.dumps(sizes()))
    elif "--table" in arguments:
        before = {}
        if "--before" in arguments:
            root = arguments[arguments.index("--before") + 1]
            out = subprocess.run(
                [sys.executable, "-B", __file__, "--sizes"],
                env=os.environ | {"PYTHONPATH": root},
                check=True,
                capture_output=True,
            )
            before = json.loads(out.stdout)
        print("\n".join(table(before)))
    else:
        GOLDEN.mkdir(exist_ok=True)
        for language in LANGUAGES:
            (GOLDEN / f"{language}.txt").write_text(golden(language), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
