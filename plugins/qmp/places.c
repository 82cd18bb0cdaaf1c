/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "places.h"
#include "json.h"
#include <inttypes.h>
#include <string.h>

HV_RECORD_TABLE (qmp_places, QMP_PLACES, "where the devices of a machine stand");

static const char *
place_of (const struct qmp_places *p, const char *id)
{
  for (uint32_t i = 0; i < p->devices.count; i++)
    if (strcmp (p->devices.items[i].key, id) == 0)
      return p->devices.items[i].value;
  return NULL;
}

void
qmp_places_apply (const struct qmp_places *p, json_t *device)
{
  const char *place = place_of (p, qmp_json_str (device, "id", ""));
  if (place == NULL)
    return;
  if (strncmp (place, "lun:", 4) == 0)
    (void) json_object_set_new (device, "lun", json_integer (strtol (place + 4, NULL, 10)));
  else if (strncmp (place, "port:", 5) == 0)
    (void) json_object_set_new (device, "port", json_string (place + 5));
  else
    (void) json_object_set_new (device, "bus", json_string (place));
}

int
qmp_places_add (struct hv_host *h, struct qmp_places *p, const char *id, const char *place)
{
  struct hv_pair *more = hv_alloc (h, ((uint64_t) p->devices.count + 1) * sizeof *more);
  char *key = hv_strdup (h, id), *value = place != NULL ? hv_strdup (h, place) : NULL;
  if (more == NULL || key == NULL || value == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  if (p->devices.count > 0)
    memcpy (more, p->devices.items, p->devices.count * sizeof *more);
  more[p->devices.count] = (struct hv_pair){ key, value };
  p->devices = (struct hv_map){ more, p->devices.count + 1 };
  p->has.devices = 1;
  return 0;
}

static int
alike_one_way (const struct qmp_places *a, const struct qmp_places *b, const char *in_a, const char *in_b, struct hv_err *err)
{
  for (uint32_t i = 0; i < a->devices.count; i++) {
    const char *id = a->devices.items[i].key, *at = a->devices.items[i].value, *other = place_of (b, id);
    if (other == NULL || strcmp (at, other) != 0)
      return hv_err_set (err, HV_E_FAILED_PRECONDITION,
                         "device '%s' stands at %s %s and %s%s %s: devices were plugged in or out since the VM was started; "
                         "save and restore it there, or restart it first",
                         id, at, in_a, other != NULL ? "at " : "", other != NULL ? other : "nowhere", in_b);
  }
  return 0;
}

int
qmp_places_alike (const struct qmp_places *here, const struct qmp_places *there, struct hv_err *err)
{
  int r = alike_one_way (there, here, "there", "here", err);
  if (r == 0)
    r = alike_one_way (here, there, "here", "there", err);
  if (r == 0 && here->ports != there->ports)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION,
                       "the machine has %" PRIu32 " PCI ports here and %" PRIu32
                       " there: devices were plugged in or out since the VM was started; restart it first",
                       here->ports, there->ports);
  return r;
}
