# SPDX-License-Identifier: LGPL-2.1-or-later
"""The description that the tests of the command line use: two plugins that exist nowhere, with one of every kind of field."""
from fakebus import FakeBus, event, field, instance, method, record

CPU = record("cpu", field("cores", "u32", "cores", default="1", min=1, max=64), field("model", "str", "model"))
MACHINE = record("machine", field("cpu", "record", "processor", record=CPU), field("memory_bytes", "u64", "memory", unit="bytes"))
BOAT = record("boat", field("name", doc="its name"), field("namespace", doc="its namespace"), field("state", "str", "state"),
              field("weight_bytes", "u64", "weight", unit="bytes"), field("created_at", "str", "when"), field("tags", "strs", "tags"))
LIST_ARGS = record("list_args", field("name", doc="only this one"), field("namespace", doc="only of this namespace"),
                   field("limit", "u32", "at most so many", min=1, max=500), field("continue_from", doc="the previous answer's"))
LIST_RESULT = record("boat_list", field("items", "records", "the boats", record=BOAT), field("continue_from"), field("epoch", "u64"),
                     field("seq", "u64"))
NAME_ARGS = record("name_args", field("name", doc="name of the boat", required=True), field("namespace", doc="its namespace", default="default"),
                   field("paused", "bool", "do not sail yet", default="false"))
BUILD_ARGS = record(
    "build_args",
    field("name", doc="name of the boat", required=True, pattern="name"),
    field("weight_bytes", "u64", "weight", unit="bytes", required=True, min=1, max=1 << 40),
    field("grace_ms", "u64", "how long to wait", unit="ms", default="5000"),
    field("color", "enum", "colour", words=["red", "green", "blue"], default="red"),
    field("fast", "bool", "make it fast", default="true"),
    field("plan", "str", "the plan", file=True),
    field("dock", "str", "where it lies", path=True),
    field("tags", "strs", "tags"),
    field("labels", "map", "labels"),
    field("machine", "record", "engine", record=MACHINE),
    field("sails", "records", "sails", record=record("sail", field("area", "u32", "area"))),
    field("offset", "i64", "offset", min=-5, max=5),
    field("ratio", "f64", "ratio"),
    field("extra", "any", "anything"),
    field("help", "str", "who helps"),
    field("line", "fd", "a rope"))

HARBOUR = instance(
    "harbour",
    [
        method("harbour.list", "boats of the harbour", LIST_ARGS, LIST_RESULT, flags=["read"],
               cli={"words": "get boat|get boats", "positional": "name?", "list": "items", "watch": "changed radio.*",
                    "columns": "NAME=name STATE=state WEIGHT=weight_bytes:bytes AGE=created_at:age", "wide": "TAGS=tags", "shorts": "n=namespace"}),
        method("harbour.start", "sets a boat sailing", NAME_ARGS, record("r", field("kind"), field("name")), access="operator", lane="mutate", key="name",
               cli={"words": "start", "positional": "name", "done": "{kind}/{name} started"}),
        method("harbour.apply", "builds what a plan says", record("apply_args", field("manifest", doc="the plan", file=True, required=True)),
               record("r", field("items", "records", "", record=record("i", field("kind"), field("name"), field("action")))),
               cli={"words": "apply", "shorts": "f=manifest", "list": "items", "done": "{kind}/{name} {action}"}),
        method("harbour.build", "builds a boat", BUILD_ARGS, record("r", field("built", "bool")), flags=["progress"],
               cli={"shorts": "c=color t=tags"}),
        method("harbour.get", "one boat", record("get_args", field("name", required=True)), BOAT, flags=["read"], cli={"positional": "name"}),
        method("harbour.talk", "speaks with the crew", record("talk_args", field("name", required=True)),
               record("talking", field("token", required=True, secret=True, stream=True)), key="name",
               cli={"words": "talk", "positional": "name", "terminal": True}),
        method("harbour.film", "what the look-out sees", record("film_args", field("name", required=True)),
               record("filming", field("token", required=True, secret=True, stream=True)), key="name", cli={"positional": "name"}),
        method("harbour.photo", "a picture of a boat", record("photo_args", field("name", required=True)),
               record("photo", field("picture", "bin", required=True), field("width", "u32")), flags=["read"], cli={"positional": "name"}),
        method("harbour.secret", "not for people", None, None, flags=["hidden"]),
    ],
    [event("harbour.changed", "a boat changed", record("changed", field("name"), field("state")))],
    summary="keeps boats", provides=[("mooring", 1)])
RADIO = instance("radio", [method("radio.say", "says something", record("say_args", field("text", doc="what", required=True)), None),
                             method("radio.say_it", "Says it again; louder. And again", record("say_it_args", field("text")), None)], summary="talks")


def boat(name, state="Running", **more):
    return {"name": name, "namespace": "default", "state": state, "weight_bytes": 2 << 30, "created_at": "2020-01-01T00:00:00Z", "tags": ["a", "b"], **more}


def toy_bus():
    return FakeBus([HARBOUR, RADIO])
