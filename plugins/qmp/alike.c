/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two machines whose guests would see no difference. */
#include "peer.h"
#include <inttypes.h>
#include <string.h>

static int
differs (const char *what, const char *here, const char *there, struct hv_err *err)
{
  return hv_err_set (err, HV_E_FAILED_PRECONDITION, "machine.%s is '%s' here and '%s' there", what, here != NULL ? here : "absent",
                     there != NULL ? there : "absent");
}

static int
differs_in_number (const char *what, uint64_t here, uint64_t there, struct hv_err *err)
{
  return hv_err_set (err, HV_E_FAILED_PRECONDITION, "machine.%s is %" PRIu64 " here and %" PRIu64 " there", what, here, there);
}

static int
same_text (const char *a, const char *b)
{
  return a == b || (a != NULL && b != NULL && strcmp (a, b) == 0);
}

static int
alike_parts (const struct hv_machine *a, const struct hv_machine *b, struct hv_err *err)
{
  const struct {
    const char *what;
    uint64_t here, there;
  } numbers[] = {
    { "memory_bytes", a->memory_bytes, b->memory_bytes },
    { "cpu.sockets", a->cpu.sockets, b->cpu.sockets },
    { "cpu.cores", a->cpu.cores, b->cpu.cores },
    { "cpu.threads", a->cpu.threads, b->cpu.threads },
    { "acpi", a->acpi, b->acpi },
    { "serial", a->serial, b->serial },
    { "graphics", a->graphics, b->graphics },
    { "balloon", a->balloon, b->balloon },
    { "rng", a->rng, b->rng },
    { "agent", a->agent, b->agent },
    { "disks: how many", a->disks.count, b->disks.count },
    { "nics: how many", a->nics.count, b->nics.count },
    { "inputs: how many", a->inputs.count, b->inputs.count },
  };
  const struct {
    const char *what, *here, *there;
  } texts[] = {
    { "uuid", a->uuid, b->uuid },
    { "machine", a->machine, b->machine },
    { "cpu.model", a->cpu.model, b->cpu.model },
    { "watchdog", a->watchdog, b->watchdog },
  };
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
    if (!same_text (texts[i].here, texts[i].there))
      return differs (texts[i].what, texts[i].here, texts[i].there, err);
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
    if (numbers[i].here != numbers[i].there)
      return differs_in_number (numbers[i].what, numbers[i].here, numbers[i].there, err);
  return 0;
}

static int
alike_disk (const struct hv_machine_disk *a, const struct hv_machine_disk *b, struct hv_err *err)
{
  if (!same_text (a->name, b->name))
    return differs ("disks: a name", a->name, b->name, err);
  int r = 0;
  if (a->bus != b->bus)
    r = differs ("bus", hv_disk_bus_words[a->bus], hv_disk_bus_words[b->bus], err);
  else if (a->media != b->media)
    r = differs ("media", hv_disk_media_words[a->media], hv_disk_media_words[b->media], err);
  else if (a->read_only != b->read_only)
    r = differs_in_number ("read_only", a->read_only, b->read_only, err);
  return r < 0 ? hv_err_wrap (err, r, "disk '%s'", a->name) : 0;
}

static int
alike_nic (const struct hv_machine_nic *a, const struct hv_machine_nic *b, struct hv_err *err)
{
  if (!same_text (a->name, b->name))
    return differs ("nics: a name", a->name, b->name, err);
  int r = 0;
  if (!same_text (a->model, b->model))
    r = differs ("model", a->model, b->model, err);
  else if (!same_text (a->mac, b->mac))
    r = differs ("mac", a->mac, b->mac, err);
  else if (a->queues != b->queues)
    r = differs_in_number ("queues", a->queues, b->queues, err);
  else if (a->mtu != b->mtu)
    r = differs_in_number ("mtu", a->mtu, b->mtu, err);
  return r < 0 ? hv_err_wrap (err, r, "network card '%s'", a->name) : 0;
}

int
qmp_machines_alike (const struct hv_machine *here, const struct hv_machine *there, struct hv_err *err)
{
  int r = alike_parts (here, there, err);
  for (uint32_t i = 0; r == 0 && i < here->disks.count; i++)
    r = alike_disk (&here->disks.items[i], &there->disks.items[i], err);
  for (uint32_t i = 0; r == 0 && i < here->nics.count; i++)
    r = alike_nic (&here->nics.items[i], &there->nics.items[i], err);
  for (uint32_t i = 0; r == 0 && i < here->inputs.count; i++)
    if (!same_text (here->inputs.items[i].bus, there->inputs.items[i].bus))
      r = differs ("inputs: a bus", here->inputs.items[i].bus, there->inputs.items[i].bus, err);
  return r;
}
