/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lanes: one mutator at a time per key. A busy lane is an answer (ABORTED, naming the holder and its age), never a hidden
 * wait; only a destroying call waits, and only until the holder it cancelled has given up. */
#include "core/bus/instance.h"
#include <stdlib.h>
#include <string.h>

/* The key's value is in the decoded arguments; the fence guarantees that reading it from the bytes is as good. */
static int
lane_key_of (const struct hv_call *c, char **ret)
{
  const struct hv_field *key = c->route->key;
  struct hv_bin args = c->request.args_msg != NULL ? hv_msg_bytes (c->request.args_msg) : c->request.args;
  struct hv_read r = { args.data, args.data + args.size };
  struct hv_value map, k, v;
  *ret = NULL;
  if (key == NULL || !hv_read_next (&r, &map) || map.type != HV_MP_MAP)
    return (*ret = strdup ("")) != NULL ? 0 : HV_E_RESOURCE_EXHAUSTED;
  for (uint32_t i = 0; i < map.size && hv_read_next (&r, &k); i++) {
    struct hv_bin value = hv_read_skip (&r);
    struct hv_read vr = { value.data, value.data + value.size };
    if (k.type == HV_MP_STR && strlen (key->name) == k.size && memcmp (key->name, k.as.data, k.size) == 0 && hv_read_next (&vr, &v)
        && v.type == HV_MP_STR) {
      char *copy = calloc (1, (size_t) v.size + 1);
      if (copy != NULL)
        memcpy (copy, v.as.data, v.size);
      *ret = copy;
      return copy != NULL ? 0 : HV_E_RESOURCE_EXHAUSTED;
    }
  }
  return (*ret = strdup ("")) != NULL ? 0 : HV_E_RESOURCE_EXHAUSTED;
}

static struct hv_lane *
lane_find (struct hv_instance *i, uint32_t kind, const char *key)
{
  for (struct hv_list *n = i->lanes.next; n != &i->lanes; n = n->next) {
    struct hv_lane *l = hv_container (n, struct hv_lane, node);
    if (l->kind == kind && strcmp (l->key, key) == 0)
      return l;
  }
  return NULL;
}

static void
lane_free (struct hv_lane *l)
{
  hv_list_remove (&l->node);
  free (l->key);
  free (l);
}

static int
lane_busy (const struct hv_call *c, const struct hv_lane *l, struct hv_err *err)
{
  const struct hv_call *by = l->destroyer != NULL ? l->destroyer : l->holder;
  int r = hv_err_set (err, HV_E_ABORTED, "%s: busy: %s%s%s%s has been running for %llu ms", c->route->name, by->route->name,
                      l->key[0] ? " of '" : "", l->key, l->key[0] ? "'" : "", (unsigned long long) (hv_loop_now_ms () - by->started_ms));
  hv_err_data (err, "holder", by->route->name);
  return r;
}

/* Cancels the holder and waits for it to give up. The lane is ours, or everything is as before. */
static int
lane_preempt (struct hv_call *c, struct hv_lane *l, struct hv_err *err)
{
  struct hv_fiber *self = hv_fiber_self ();
  l->destroyer = c;
  l->waiter = self;
  l->holder->preempted = 1;
  if (l->holder->fiber != NULL)
    hv_fiber_cancel (l->holder->fiber);
  int r = 0;
  while (l->holder != NULL && r == 0)
    r = hv_fiber_wait (1);
  l->waiter = NULL;
  l->destroyer = NULL;
  if (l->holder == NULL)
    r = 0;
  if (r < 0)
    return hv_err_set (err, r, "%s: cancelled while %s was giving up", c->route->name, l->holder->route->name);
  l->holder = c;
  c->lane = l;
  return 0;
}

int
hv_lane_enter (struct hv_call *c, struct hv_err *err)
{
  struct hv_instance *i = c->route->instance;
  uint32_t lane = c->route->method.lane, kind = lane == HV_LANE_DESTROY ? HV_LANE_MUTATE : lane;
  HV_CLEAN (hv_free) char *key = NULL;
  if (lane == HV_LANE_NONE)
    return 0;
  if (lane_key_of (c, &key) < 0)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "%s: out of memory", c->route->name);
  struct hv_lane *l = lane_find (i, kind, key);
  if (l != NULL && lane == HV_LANE_DESTROY && l->destroyer == NULL && l->holder->route->method.lane != HV_LANE_DESTROY)
    return lane_preempt (c, l, err);
  if (l != NULL)
    return lane_busy (c, l, err);
  l = calloc (1, sizeof *l);
  if (l == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "%s: out of memory", c->route->name);
  l->kind = kind;
  l->key = HV_STEAL (key);
  l->holder = c;
  hv_list_add (&i->lanes, &l->node);
  c->lane = l;
  return 0;
}

void
hv_lane_leave (struct hv_call *c)
{
  struct hv_lane *l = HV_STEAL (c->lane);
  if (l == NULL)
    return;
  l->holder = NULL;
  if (l->waiter != NULL)
    hv_fiber_wake (l->waiter);
  else
    lane_free (l);
}
