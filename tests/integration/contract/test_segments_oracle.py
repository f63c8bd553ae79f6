"""Our segments against the calculator Twilio publishes."""

import json
import random
import subprocess

from npm_tools import node, require

from alerting.domain.segments import GSM_BASIC, GSM_EXTENSION, measure

COUNT = """
const { SegmentedMessage } = require(process.argv[1]);
let input = "";
process.stdin.on("data", (part) => { input += part; });
process.stdin.on("end", () => {
  const counted = JSON.parse(input).map((text) => {
    const message = new SegmentedMessage(text);
    return [message.encodingName, message.segmentsCount];
  });
  process.stdout.write(JSON.stringify(counted));
});
"""


def texts() -> list[str]:
    """Fixed edges and 600 random texts, from a seed so that a failure can be seen again.

    Emoji joined by U+200D are left out: the calculator never splits one across segments, while
    networks do, so there the two differ by intent.
    """
    draw = random.Random(20260301)
    alphabets = [
        sorted(GSM_BASIC),
        sorted(GSM_BASIC | GSM_EXTENSION),
        sorted(GSM_EXTENSION),
        list("abc жшя水é"),
        list("ab 😀🚒🌊ж"),
    ]
    made = ["", "a" * 160, "a" * 161, "€" * 153, "ж" * 70, "ж" * 71, "😀" * 67, "a" * 152 + "{" * 9]
    for _ in range(600):
        made.append("".join(draw.choices(draw.choice(alphabets), k=draw.randint(0, 500))))
    return made


def test_segment_counts_equal_those_of_twilio():
    package = require("sms-segments-calculator")
    batch = texts()
    run = subprocess.run(
        [node(), "-e", COUNT, str(package)],
        input=json.dumps(batch),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    theirs = [tuple(row) for row in json.loads(run.stdout)]
    ours = [(m.encoding, m.count) for m in map(measure, batch)]
    differing = [(t, o, x) for t, o, x in zip(batch, ours, theirs, strict=True) if o != x]
    assert not differing
