"""One Celery task a message, more severe ones first by Celery's own priorities on Redis.

kombu keeps a list for each step of priority and takes from the highest that has a message. A
worker reserves only what it works on, or it would hold minor tasks already. For the rest
the shape of `celery_each`. Run by `celery -A lab.bench.baselines.celery_lanes worker`.
"""

from __future__ import annotations

from lab.bench.baselines.celery_each import app

#: In kombu's Redis the lowest number goes first.
GRAVEST, LIGHTEST = 0, 9

OPTIONS = {"priority_steps": [0, 3, 6, 9], "queue_order_strategy": "priority"}

app.conf.update(broker_transport_options=OPTIONS, worker_prefetch_multiplier=1)
