/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Documents: "<vm>.<card>", neither of which has a dot. */
#include "net-bridge.h"
#include <stdlib.h>
#include <string.h>

HV_RECORD_TABLE (nb_document, NB_DOCUMENT, "an attachment, and what it takes to undo it");
const char *const nb_kind_words[] = { "bridge", "masquerade", "network", NULL };
const char *const nb_step_words[] = { "attaching", "attached", "detaching", NULL };

static void
attachment_free (struct nb_attachment *a)
{
  if (a == NULL)
    return;
  free (a->key);
  free (a->bytes);
  free (a);
}
HV_CLEAN_DEFINE (attachment, struct nb_attachment, attachment_free)

struct nb_attachment *
nb_find (struct nb *nb, const char *vm, const char *nic)
{
  for (uint32_t i = 0; i < nb->count; i++)
    if (strcmp (nb->all[i]->d.vm, vm) == 0 && strcmp (nb->all[i]->d.nic, nic) == 0)
      return nb->all[i];
  return NULL;
}

static int
grow (struct nb *nb, struct hv_err *err)
{
  if (nb->count < nb->capacity)
    return 0;
  uint32_t capacity = nb->capacity == 0 ? 8 : nb->capacity * 2;
  struct nb_attachment **more = realloc (nb->all, capacity * sizeof (struct nb_attachment *));
  if (more == NULL)
    return nb_no_memory (err);
  nb->all = more;
  nb->capacity = capacity;
  return 0;
}

static int
before (const struct nb_attachment *a, const struct nb_attachment *b)
{
  int c = strcmp (a->d.vm, b->d.vm);
  return c < 0 || (c == 0 && strcmp (a->d.nic, b->d.nic) < 0);
}

/* Everything that the document points to, in one piece of its own. */
static int
pack_own (const struct nb_document *d, struct nb_attachment *a, struct hv_err *err)
{
  const char **texts[] = { &a->d.vm,
                           &a->d.nic,
                           &a->d.boot,
                           &a->d.netns,
                           &a->d.uplink,
                           &a->d.interface_name,
                           &a->d.bridge,
                           &a->d.port,
                           &a->d.tap,
                           &a->d.sysctls,
                           &a->d.host_sysctls,
                           &a->d.guest_mac,
                           &a->d.guest_address,
                           &a->d.guest_gateway,
                           &a->d.guest_address6,
                           &a->d.guest_gateway6,
                           &a->d.dhcp };
  struct hv_bin *bins[] = { &a->d.mac, &a->d.addresses, &a->d.routes };
  size_t size = 1, at = 0;
  a->d = *d;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    size += *texts[i] != NULL ? strlen (*texts[i]) + 1 : 0;
  for (size_t i = 0; i < sizeof bins / sizeof *bins; i++)
    size += bins[i]->size;
  a->bytes = malloc (size);
  if (a->bytes == NULL)
    return nb_no_memory (err);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (*texts[i] != NULL) {
      size_t n = strlen (*texts[i]) + 1;
      memcpy (a->bytes + at, *texts[i], n);
      *texts[i] = (char *) a->bytes + at;
      at += n;
    }
  for (size_t i = 0; i < sizeof bins / sizeof *bins; i++) {
    if (bins[i]->size > 0)
      memcpy (a->bytes + at, bins[i]->data, bins[i]->size);
    bins[i]->data = a->bytes + at;
    at += bins[i]->size;
  }
  return 0;
}

static int
add (struct nb *nb, const char *key, const struct nb_document *d, struct hv_err *err)
{
  HV_CLEAN (attachment) struct nb_attachment *a = calloc (1, sizeof *a);
  if (a == NULL || (a->key = strdup (key)) == NULL)
    return nb_no_memory (err);
  a->nb = nb;
  a->pidfd = -1;
  int r = pack_own (d, a, err);
  if (r == 0)
    r = grow (nb, err);
  if (r < 0)
    return r;
  uint32_t at = nb->count;
  while (at > 0 && before (a, nb->all[at - 1])) {
    nb->all[at] = nb->all[at - 1];
    at--;
  }
  nb->all[at] = HV_STEAL (a);
  nb->count++;
  return 0;
}

static void
forget (struct nb *nb, struct nb_attachment *a)
{
  for (uint32_t i = 0; i < nb->count; i++)
    if (nb->all[i] == a) {
      nb->count--;
      memmove (&nb->all[i], &nb->all[i + 1], (nb->count - i) * sizeof (struct nb_attachment *));
      break;
    }
  nb_server_forget (nb, a);
  attachment_free (a);
}

int
nb_record_load (struct nb *nb, struct hv_err *err)
{
  struct hv_host *h = nb->host;
  struct hv_strs keys = { NULL, 0 };
  int r = h->api->store_list (h, &keys, err);
  for (uint32_t i = 0; i < keys.count && r == 0; i++) {
    struct nb_document d = { 0 };
    r = h->api->store_get (h, keys.items[i], &nb_document_record, &d, err);
    if (r == HV_E_DATA_LOSS) {
      hv_log (h, HV_LOG_ERROR, "attachment '%s' cannot be undone by itself: %s", keys.items[i], hv_err_message (err));
      r = 0;
    } else if (r == 0)
      r = add (nb, keys.items[i], &d, err);
  }
  return r;
}

int
nb_record_save (struct nb *nb, const struct nb_document *d, struct hv_err *err)
{
  struct hv_host *h = nb->host;
  char *key = hv_printf (h, "%s.%s", d->vm, d->nic);
  struct nb_attachment *old = nb_find (nb, d->vm, d->nic);
  if (key == NULL)
    return nb_no_memory (err);
  int r = h->api->store_put (h, key, &nb_document_record, d, err);
  if (r < 0)
    return r;
  r = add (nb, key, d, err);
  if (r == 0 && old != NULL)
    forget (nb, old);
  return r;
}

int
nb_record_step (struct nb *nb, struct nb_attachment *a, uint32_t step, struct hv_err *err)
{
  struct hv_host *h = nb->host;
  struct nb_document d = a->d;
  d.step = step;
  int r = h->api->store_put (h, a->key, &nb_document_record, &d, err);
  if (r == 0)
    a->d.step = step;
  return r;
}

int
nb_record_delete (struct nb *nb, struct nb_attachment *a, struct hv_err *err)
{
  int r = nb->host->api->store_delete (nb->host, a->key, err);
  if (r == 0)
    forget (nb, a);
  return r;
}
