/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "flight.h"
#include "fetch.h"
#include <hvkit/iface/disk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRESS_MS 200u
#define PLACE_MS    3600000u

/* --- objects --- */

void
cd_flight_clear (struct cd_flight *f)
{
  char *const texts[] = { f->key, f->image, f->file, f->digest, f->url, f->etag };
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
    free (texts[i]);
  cd_source_free (f->source);
  free (f->manifest);
}

static void
flight_unref (struct cd_flight *f)
{
  if (--f->refs > 0)
    return;
  for (struct cd_flight **at = &f->cd->flights; *at != NULL; at = &(*at)->next)
    if (*at == f) {
      *at = f->next;
      break;
    }
  f->cd->host->api->cond_free (f->cd->host, f->changed);
  cd_flight_clear (f);
  free (f);
}

struct cd_flight *
cd_flight_find (struct cd *cd, const char *key)
{
  for (struct cd_flight *f = cd->flights; f != NULL; f = f->next)
    if (!f->done && strcmp (f->key, key) == 0) {
      f->refs++;
      f->waiting++;
      return f;
    }
  return NULL;
}

void
cd_flight_leave (struct cd_flight *f)
{
  f->waiting--;
  flight_unref (f);
}

/* --- one blob after the other --- */

struct making {
  struct cd_flight *f;
  struct cd_sink sink;
  struct cd_pick pick;
  uint64_t before; /* bytes of the blobs that are done */
};

static int
on_progress (void *arg, uint64_t done, struct hv_err *err)
{
  struct making *m = arg;
  m->f->done_bytes = m->before + done;
  return m->f->waiting > 0 ? 0 : hv_err_set (err, HV_E_CANCELLED, "nobody waits for it any more");
}

static int
fetch_blob (struct making *m, const char *url, const struct cd_descriptor *d, struct hv_err *err)
{
  struct cd_flight *f = m->f;
  struct cd_fetch fetch = { .host = f->cd->host, .source = f->source, .url = url, .progress = on_progress, .arg = m };
  fetch.path = f->source == NULL ? url + strlen ("file://") : NULL;
  fetch.size = d != NULL ? d->size : UINT64_MAX;
  fetch.if_none_match = d == NULL ? f->etag : NULL;
  fetch.unpack = cd_unpack_new (d != NULL ? d->codec : CD_CODEC_GUESS, d != NULL ? &m->pick : NULL, &m->sink,
                                d != NULL ? d->digest : f->digest, err);
  if (fetch.unpack == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  int r = cd_fetch_run (&fetch, err);
  if (r == 0 && !fetch.not_modified)
    r = cd_unpack_end (fetch.unpack, d == NULL ? f->found : NULL, err);
  f->not_modified = fetch.not_modified;
  m->before += fetch.done;
  cd_unpack_free (fetch.unpack);
  if (d == NULL && r == 0 && !f->not_modified) {
    free (f->etag);
    f->etag = HV_STEAL (fetch.etag);
  }
  free (fetch.etag);
  return r;
}

/* From the uppermost layer down. */
static int
fetch_layers (struct making *m, struct hv_err *err)
{
  const struct cd_manifest *man = m->f->manifest;
  int r = cd_pick_begin (&m->pick, m->f->file, err);
  for (uint32_t i = man->count; r == 0 && i-- > 0 && !cd_pick_is_settled (&m->pick);) {
    HV_CLEAN (hv_free) char *url = NULL;
    if (asprintf (&url, "%s/v2/%s/blobs/%s", m->f->source->origin, m->f->source->ref.name, man->items[i].digest) < 0)
      url = NULL;
    cd_pick_layer (&m->pick);
    r = url != NULL ? fetch_blob (m, url, &man->items[i], err) : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
    if (r < 0)
      r = hv_err_wrap (err, r, "layer %u of %u", i + 1, man->count);
  }
  return r == 0 ? cd_pick_end (&m->pick, err) : r;
}

/* --- what it is --- */

static int
look_qcow2 (struct cd *cd, const char *path, struct cd_document *doc, struct hv_err *err)
{
  struct hv_disk_ref ref = { .path = path };
  struct hv_disk_info info;
  char *method = hv_printf (cd->host, "%s.info", cd->config->qcow2);
  ref.has.path = 1;
  if (method == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = hv_call_method (cd->host, method, hv_disk_ref, &ref, hv_disk_info, &info, err);
  if (r < 0)
    return hv_err_wrap (err, r, "the image is qcow2, and refused");
  if (HV_HAS (&info, backing_path))
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "the disk in the image is an overlay of '%.200s', which is not in it",
                       info.backing_path);
  HV_SET (doc, virtual_size_bytes, info.virtual_size_bytes);
  return 0;
}

/* The header decides once; from then on the format is on record, whatever a guest makes the file look like. */
static int
look (struct making *m, const char *path, struct cd_document *doc, struct hv_err *err)
{
  struct cd_flight *f = m->f;
  uint64_t size = m->sink.size;
  if (size == 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "the disk in the image is empty");
  int is_qcow2 = size >= 4 && memcmp (m->sink.first, "QFI\xfb", 4) == 0;
  const char *like = hv_file_looks_like (m->sink.first, size < sizeof m->sink.first ? size : sizeof m->sink.first);
  if (f->has_format && f->format != (is_qcow2 ? HV_DISK_QCOW2 : HV_DISK_RAW))
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "it was to be %s, and looks like %s", hv_disk_format_words[f->format],
                       like != NULL ? like : "a raw image");
  if (!is_qcow2 && like != NULL)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "the disk in the image looks like %s: convert it to raw or qcow2", like);
  HV_SET (doc, format, is_qcow2 ? HV_DISK_QCOW2 : HV_DISK_RAW);
  if (is_qcow2)
    return look_qcow2 (f->cd, path, doc, err);
  uint64_t rounded;
  if (hv_round_up (size, 512, &rounded) < 0)
    return hv_err_set (err, HV_E_OUT_OF_RANGE, "the disk in the image is too large");
  HV_SET (doc, virtual_size_bytes, rounded);
  return 0;
}

static void
describe (struct making *m, struct cd_document *doc, const struct stat *st)
{
  struct cd_flight *f = m->f;
  HV_SET (doc, digest, f->found);
  if (f->manifest != NULL)
    HV_SET (doc, file, m->pick.found);
  if (f->file != NULL)
    HV_SET (doc, wanted, f->file);
  doc->has.names = 1; /* whoever waits for it adds his */
  HV_SET (doc, file_size_bytes, m->sink.size);
  HV_SET (doc, allocated_bytes, (uint64_t) st->st_blocks * 512);
  HV_SET (doc, checksum, m->sink.crc);
  HV_SET (doc, pulled_ms, cd_wall_ms ());
  HV_SET (doc, used_ms, cd_wall_ms ());
}

/* --- publishing --- */

struct disk_job {
  struct cd_sink *sink;
  const char *path;
  uint64_t limit;
  struct stat stat;
  struct hv_err *err;
};

static int
begin_job (void *arg)
{
  struct disk_job *j = arg;
  return cd_sink_begin (j->sink, j->path, j->limit, j->err);
}

static int
commit_job (void *arg)
{
  struct disk_job *j = arg;
  int r = cd_sink_commit (j->sink, j->err);
  return r == 0 && fstat (j->sink->file.fd, &j->stat) < 0 ? HV_E_INTERNAL : r;
}

static int
undo_job (void *arg)
{
  struct disk_job *j = arg;
  return hv_file_delete (j->path, j->sink->file.fd, NULL);
}

/* Until its document is there, the file is nobody's: a start removes it. */
static int
publish (struct making *m, struct hv_err *err)
{
  struct cd_flight *f = m->f;
  struct cd *cd = f->cd;
  struct cd_document doc;
  struct cd_image *image;
  char key[112];
  memset (&doc, 0, sizeof doc);
  cd_cache_key (f->found, f->file, key, sizeof key);
  struct disk_job j = { .sink = &m->sink, .path = cd_cache_path (cd, key), .err = err };
  if (j.path == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  m->sink.file.name = strrchr (j.path, '/') + 1; /* only now is it known what it is called */
  int r = hv_offload (cd->host, commit_job, &j, err);
  hv_step (cd->host, "pull.named");
  if (r < 0)
    return r;
  r = look (m, j.path, &doc, err);
  if (r == 0) {
    describe (m, &doc, &j.stat);
    r = cd_cache_add (cd, key, &doc, &image, err);
  }
  if (r < 0)
    (void) hv_offload (cd->host, undo_job, &j, NULL);
  hv_step (cd->host, "pull.recorded");
  return r;
}

static int
make (struct making *m, struct hv_err *err)
{
  struct cd_flight *f = m->f;
  struct disk_job j = { .sink = &m->sink, .err = err };
  int r = cd_cache_room (f->cd, &j.limit, err);
  j.path = cd_cache_path (f->cd, "new");
  if (r == 0 && j.path == NULL)
    r = hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (r == 0)
    r = hv_offload (f->cd->host, begin_job, &j, err);
  if (r == 0)
    r = f->manifest != NULL ? fetch_layers (m, err) : fetch_blob (m, f->url, NULL, err);
  if (r == 0 && !f->not_modified && cd_cache_find_digest (f->cd, f->found, f->file) == NULL)
    r = publish (m, err);
  return r;
}

static int
claim (struct cd_flight *f, struct hv_err *err)
{
  struct cd *cd = f->cd;
  while (cd->flying >= cd->config->parallel) {
    int r = cd->host->api->cond_wait (cd->host, cd->landed, PLACE_MS, err);
    if (r == HV_E_CANCELLED || f->waiting == 0)
      return hv_err_set (err, HV_E_CANCELLED, "nobody waits for it any more");
  }
  cd->flying++;
  f->claimed = 1;
  return 0;
}

static void
flight_run (void *self, void *arg)
{
  struct cd_flight *f = arg;
  struct cd *cd = f->cd;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (cd->host);
  struct making m = { .f = f, .sink = CD_SINK_INIT };
  (void) self;
  int r = claim (f, err);
  if (r == 0)
    r = make (&m, err);
  cd_sink_end (&m.sink);
  cd_pick_clear (&m.pick);
  f->code = r;
  if (r < 0)
    (void) snprintf (f->message, sizeof f->message, "%s", hv_err_message (err));
  f->done = 1;
  cd->flying -= f->claimed;
  cd->host->api->cond_wake (cd->host, f->changed);
  cd->host->api->cond_wake (cd->host, cd->landed);
  flight_unref (f);
  cd_cache_collect (cd);
}

struct cd_flight *
cd_flight_start (struct cd *cd, struct cd_flight *ready, struct hv_err *err)
{
  struct cd_flight *f = calloc (1, sizeof *f);
  struct hv_cond *changed = cd->host->api->cond_new (cd->host);
  if (f != NULL && changed != NULL) {
    *f = *ready;
    f->cd = cd;
    f->changed = changed;
    f->refs = 2;
    f->waiting = 1;
    for (uint32_t i = 0; f->manifest != NULL && i < f->manifest->count; i++)
      f->total_bytes += f->manifest->items[i].size;
    f->next = cd->flights;
    cd->flights = f;
    if (hv_go (cd->host, "fetch", flight_run, f) == 0)
      return f;
    f->refs = 1;
    flight_unref (f);
  } else {
    free (f);
    if (changed != NULL)
      cd->host->api->cond_free (cd->host, changed);
    cd_flight_clear (ready);
  }
  (void) hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  return NULL;
}

int
cd_flight_wait (struct cd_flight *f, struct hv_call *call, struct hv_err *err)
{
  struct hv_host *h = f->cd->host;
  while (!f->done) {
    int r = h->api->cond_wait (h, f->changed, PROGRESS_MS, NULL);
    if (r == HV_E_CANCELLED)
      return hv_err_set (err, r, "cancelled");
    hv_progress (call, "pull", f->done_bytes, f->total_bytes, "bytes");
  }
  return f->code == 0 ? 0 : hv_err_set (err, f->code, "%s", f->message);
}
