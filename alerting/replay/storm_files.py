"""A storm trace as files: CAP, the register of its citizens, and what each message is about."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

from alerting.cap import to_xml
from alerting.errors import BadInput
from alerting.replay.storm import Storm
from alerting.replay.truth import TRUTH

CITIZENS = "citizens.csv"

#: The earliest date a zip can hold; with any other the same storm would make different zips.
_DATE = (1980, 1, 1, 0, 0, 0)


def write(storm: Storm, target: Path) -> int:
    """Write the storm to a folder, or to a zip where `target` ends in .zip; one storm, one content.

    Returns how many files there are. Raises BadInput for a folder that holds something already, so
    that no two storms are mixed, and where nothing can be written.
    """
    files = _files(storm)
    try:
        if target.suffix.lower() == ".zip":
            with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, data in files.items():
                    archive.writestr(zipfile.ZipInfo(name, _DATE), data, zipfile.ZIP_DEFLATED)
        else:
            target.mkdir(parents=True, exist_ok=True)
            if any(target.iterdir()):
                raise BadInput(f"The folder {target} is not empty.", remedy="Name a new one.")
            for name, data in files.items():
                (target / name).write_bytes(data)
    except OSError as e:
        raise BadInput(
            f"{target} cannot be written: {e.strerror or e}.", remedy="Check the path."
        ) from e
    return len(files)


def _files(storm: Storm) -> dict[str, bytes]:
    files, truth = {}, []
    for no, (alert, incident) in enumerate(zip(storm.alerts, storm.incidents, strict=True)):
        name = f"{no:03}-{alert.identifier}.xml"
        files[name] = to_xml(alert)
        line = {"file": name, "identifier": alert.identifier, "incident": incident}
        truth.append(json.dumps(line) + "\n")
    files[TRUTH] = "".join(truth).encode()
    rows = io.StringIO(newline="")
    writer = csv.DictWriter(rows, list(storm.citizens[0]))
    writer.writeheader()
    writer.writerows(storm.citizens)
    files[CITIZENS] = rows.getvalue().encode()
    return files
