"""What is in a Kafka topic: run inside the kafka environment.

usage: kafka_topic.py BROKERS reach TOPIC OFFSET [SECONDS]   ends when the topic has so many messages; offset 0: when the broker answers
       kafka_topic.py BROKERS create TOPIC                   an empty topic
       kafka_topic.py BROKERS count TOPIC                    inserts, updates and deletes among committed messages, as JSON
       kafka_topic.py BROKERS follow TOPIC                   latencies of committed messages from now on, one line of JSON on SIGTERM
"""

import datetime
import json
import re
import signal
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

brokers, what, topic, *rest = sys.argv[1:]
consumer = Consumer({"bootstrap.servers": brokers, "group.id": f"bench-{time.time_ns()}", "enable.auto.commit": False, "log_level": 0,
                     "isolation.level": "read_committed", "enable.partition.eof": what == "count", "auto.offset.reset": "earliest",
                     "fetch.wait.max.ms": 10, "topic.metadata.refresh.interval.ms": 500})
WARM_UP_SECONDS = 5
operation = re.compile(rb'"op": ?"(.)"')
updated = re.compile(rb'"updated_at": ?"([^"]+)"')


def partitions():
    found = consumer.list_topics(topic, timeout=10).topics[topic]
    return [] if found.error else [TopicPartition(topic, number, 0) for number in found.partitions]


def reach(wanted, seconds=60):
    if wanted == 0:
        consumer.list_topics(timeout=2)
        return
    end = time.monotonic() + seconds
    while sum(consumer.get_watermark_offsets(one, timeout=10)[1] for one in partitions()) < wanted:
        if time.monotonic() > end:
            sys.exit("the topic did not fill up in time")
        time.sleep(0.02)


def messages(left=None):
    for message in iter(lambda: consumer.consume(5000, 0.05), None):
        for one in message:
            if one.error():
                if one.error().code() == KafkaError._PARTITION_EOF and left is not None:
                    left.discard(one.partition())
            elif one.value() is not None:
                yield one
        if left is not None and not left:
            return
        if left is None:
            yield None


def count():
    found = {b"c": 0, b"u": 0, b"d": 0}
    assigned = partitions()
    consumer.assign(assigned)
    for one in messages({one.partition for one in assigned}):
        # The last `op` is the envelope's: a row's own text stands before it.
        found[operation.findall(one.value())[-1]] += 1
    print(json.dumps([found[b"c"], found[b"u"], found[b"d"]]))


def follow():
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    while not partitions():
        time.sleep(0.1)
    consumer.assign(partitions())
    rows = []
    for one in messages():
        if one is None:
            if stopped:
                break
            continue
        now = time.time()
        # `after` stands behind `before`, the envelope's `op` behind both.
        stamp = updated.findall(one.value())
        if stamp and operation.findall(one.value())[-1] != b"d":
            at = datetime.datetime.fromisoformat(stamp[-1].decode().replace("Z", "+00:00")).timestamp()
            rows.append((at, (now - at) * 1000))
    taken = sorted(ms for at, ms in rows if at >= rows[0][0] + WARM_UP_SECONDS)
    pick = lambda share: taken[min(len(taken) - 1, int(len(taken) * share))] if taken else 0
    print(json.dumps({"sampled": len(taken), "p50": pick(0.5), "p99": pick(0.99), "most": pick(1)}))


def create():
    admin = AdminClient({"bootstrap.servers": brokers})
    try:
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    except KafkaException as problem:
        if problem.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


{"create": create, "reach": lambda: reach(int(rest[0]), float(rest[1]) if len(rest) > 1 else 60), "count": count, "follow": follow}[what]()
consumer.close()
