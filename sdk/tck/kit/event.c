/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The provider's events, as a subscriber sees them. */
#include "core/err/err.h"
#include "core/schema/schema.h"
#include "sdk/tck/kit/kit.h"
#include <string.h>

uint64_t
tck_mark (struct tck *t)
{
  return hv_fake_seq (t->host);
}

/* "qmp.lifecycle" → "lifecycle", or NULL when another instance's. */
static const char *
own_event (const struct tck *t, const char *topic)
{
  size_t n = strlen (t->plugin->name);
  return strncmp (topic, t->plugin->name, n) == 0 && topic[n] == '.' ? topic + n + 1 : NULL;
}

json_t *
tck_events (struct tck *t, uint64_t from, const char *event, const char *vm)
{
  json_t *list = tck_keep (t, json_array ());
  struct hv_fake_event e;
  while (hv_fake_event_next (t->host, &from, &e)) {
    const char *name = own_event (t, e.topic);
    json_t *data = json_loads (e.json, 0, NULL);
    if (name != NULL && (event == NULL || strcmp (name, event) == 0) && (vm == NULL || strcmp (tck_str (data, "vm"), vm) == 0))
      (void) json_array_append_new (list, json_pack ("{s:I,s:s,s:O}", "seq", (json_int_t) e.seq, "event", name, "data", data));
    json_decref (data);
    hv_fake_event_clear (&e);
  }
  return list;
}

struct awaited {
  struct tck *t;
  uint64_t from;
  const char *event, *vm;
};

static int
has_come (void *arg)
{
  struct awaited *a = arg;
  return json_array_size (tck_events (a->t, a->from, a->event, a->vm)) > 0;
}

json_t *
tck_wait_event (struct tck *t, uint64_t from, const char *event, const char *vm, uint64_t ms)
{
  struct awaited a = { t, from, event, vm };
  if (!hv_fake_run_until (t->host, has_come, &a, ms))
    return NULL;
  return json_object_get (json_array_get (tck_events (t, from, event, vm), 0), "data");
}

int
tck_state_index (const char *word)
{
  for (uint32_t i = 0; i < HV_VM_STATES; i++)
    if (strcmp (hv_vm_state_words[i], word) == 0)
      return (int) i;
  return -1;
}

/* One link: `was` is where the chain is, and the table allows the step. */
static void
chain_link (struct tck *t, const json_t *events, const json_t *data, const char *was)
{
  const char *to = tck_str (data, "state");
  const char *said = json_object_get (data, "was") != NULL ? tck_str (data, "was") : was;
  int a = tck_state_index (was), b = tck_state_index (to);
  TCK_CHECK (t, strcmp (said, was) == 0, "an event says the VM was '%s', the one before it left it '%s': %s", said, was,
             tck_dump (t, events));
  TCK_CHECK (t, a >= 0 && b >= 0, "an event names a state that is none: %s", tck_dump (t, data));
  TCK_CHECK (t, hv_vm_transitions[a][b], "an event says '%s' became '%s', which hv_vm_transitions does not allow: %s", was, to,
             tck_dump (t, events));
}

/* An event without `was` that leaves the state alone is news of the definition (defined, replaced, undefined), not a link. */
void
tck_chain (struct tck *t, const json_t *events, const char *was, const char *state)
{
  size_t i;
  json_t *e;
  json_array_foreach (events, i, e)
  {
    const json_t *data = json_object_get (e, "data");
    const char *to = tck_str (data, "state");
    if (json_object_get (data, "was") == NULL && strcmp (to, was) == 0)
      continue;
    TCK_CHECK (t, json_object_get (data, "was") != NULL, "a change of state without 'was': %s", tck_dump (t, data));
    TCK_CHECK (t, strcmp (to, was) != 0 || strcmp (tck_str (data, "was"), to) != 0, "the same change is announced twice: %s",
               tck_dump (t, events));
    chain_link (t, events, data, was);
    was = to;
  }
  TCK_CHECK (t, strcmp (was, state) == 0, "the events end in '%s', the VM is '%s': %s", was, state, tck_dump (t, events));
}

/* --- shapes --- */

static const struct hv_event *
event_of (const struct tck *t, const char *name)
{
  for (const struct hv_event *const *e = hv_iface_hypervisor.events; *e != NULL; e++)
    if (strcmp ((*e)->name, name) == 0)
      return *e;
  for (const struct hv_event *const *e = t->plugin->events; e != NULL && *e != NULL; e++)
    if (strcmp ((*e)->name, name) == 0)
      return *e;
  return NULL;
}

static void
decode_one (struct tck *t, const struct hv_fake_event *e)
{
  const char *name = own_event (t, e->topic);
  const struct hv_event *known = name != NULL ? event_of (t, name) : NULL;
  if (name == NULL)
    return;
  TCK_CHECK (t, known != NULL, "event '%s' is in no table", e->topic);
  struct hv_arena arena = { 0 };
  struct hv_decode how = { .arena = &arena };
  HV_CLEAN (hv_err) struct hv_err *err = hv_error_new ();
  void *out = hv_arena_alloc (&arena, known->data->c_size);
  int r = hv_record_decode (known->data, (struct hv_bin){ e->data, e->size }, &how, out, err);
  TCK_CHECK (t, r == 0, "event '%s' does not fit its record: %s: %s", e->topic, hv_err_message (err), e->json);
  hv_arena_free (&arena);
}

void
tck_decode (struct tck *t, uint64_t from)
{
  struct hv_fake_event e;
  while (hv_fake_event_next (t->host, &from, &e)) {
    decode_one (t, &e);
    hv_fake_event_clear (&e);
  }
}
