/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The cache: a file per image, and a document that is written once the file is whole. A file without a document is what an
 * interruption left, a document without a file never was. */
#include "container-disk.h"
#include <dirent.h>
#include <errno.h>
#include <hvkit/file.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

HV_RECORD_TABLE (cd_name, CD_NAME, "how an image was asked for");
HV_RECORD_TABLE (cd_document, CD_DOCUMENT, "an image in the cache");

#define PREFIX      "image."
#define CHANGE_MS   60000u
#define TOUCH_MS    60000u /* when it was used last is written down as often as that */
#define NAMES_MAX   255u
#define USED_BY_MAX 4095u

uint64_t
cd_wall_ms (void)
{
  struct timespec t;
  (void) clock_gettime (CLOCK_REALTIME, &t);
  return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

static int
no_memory (struct hv_err *err)
{
  return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

/* --- names --- */

/* The digest says what the image is; which of its files, a sum of the path. */
void
cd_cache_key (const char *digest, const char *wanted_file, char *ret, uint64_t size)
{
  uint64_t h = 14695981039346656037u; /* FNV-1a */
  const char *hex = strchr (digest, ':') + 1;
  for (const char *c = wanted_file; c != NULL && *c != '\0'; c++)
    h = (h ^ (uint8_t) *c) * 1099511628211u;
  if (wanted_file != NULL && wanted_file[0] != '\0')
    (void) snprintf (ret, size, "%.64s-%016llx", hex, (unsigned long long) h);
  else
    (void) snprintf (ret, size, "%.64s", hex);
}

static char *
directory (struct cd *cd)
{
  return hv_printf (cd->host, "%s/images", cd->host->api->info (cd->host)->state_dir);
}

char *
cd_cache_path (struct cd *cd, const char *key)
{
  return hv_printf (cd->host, "%s/images/%s", cd->host->api->info (cd->host)->state_dir, key);
}

/* --- documents --- */

int
cd_image_read (const struct cd_image *i, struct cd_document *ret, struct hv_err *err)
{
  struct hv_host *h = i->cd->host;
  memset (ret, 0, sizeof *ret);
  return h->api->decode (h, &cd_document_record, (struct hv_bin){ i->bytes, i->size }, HV_DECODE_OPEN, ret, err);
}

static int
keep (struct cd_image *i, const struct cd_document *doc, struct hv_err *err)
{
  struct hv_host *h = i->cd->host;
  struct hv_bin b;
  int r = h->api->encode (h, &cd_document_record, doc, &b, err);
  uint8_t *bytes = r == 0 ? malloc (b.size) : NULL;
  if (r < 0 || bytes == NULL)
    return r < 0 ? r : no_memory (err);
  memcpy (bytes, b.data, b.size);
  free (i->bytes);
  i->bytes = bytes;
  i->size = b.size;
  i->allocated = doc->allocated_bytes;
  i->used_ms = doc->used_ms;
  return 0;
}

static int
put (struct cd_image *i, const struct cd_document *doc, struct hv_err *err)
{
  struct hv_host *h = i->cd->host;
  char key[160];
  (void) snprintf (key, sizeof key, PREFIX "%s", i->key);
  int r = h->api->store_put (h, key, &cd_document_record, doc, err);
  return r == 0 ? keep (i, doc, err) : r;
}

/* Read, change, write: one at a time. */
static int
change_begin (struct cd_image *i, struct cd_document *doc, struct hv_err *err)
{
  struct hv_host *h = i->cd->host;
  i->pins++;
  while (i->changing) {
    int r = h->api->cond_wait (h, i->cd->landed, CHANGE_MS, err);
    if (r < 0) {
      i->pins--;
      return r;
    }
  }
  int r = i->gone ? hv_err_set (err, HV_E_NOT_FOUND, "it was removed meanwhile") : cd_image_read (i, doc, err);
  if (r < 0)
    i->pins--;
  else
    i->changing = 1;
  return r;
}

static void
change_end (struct cd_image *i)
{
  i->changing = 0;
  i->pins--;
  i->cd->host->api->cond_wake (i->cd->host, i->cd->landed);
}

/* --- the list --- */

static struct cd_image *
list_add (struct cd *cd, const char *key)
{
  struct cd_image **more = realloc (cd->images, ((size_t) cd->image_count + 1) * sizeof (struct cd_image *));
  struct cd_image *i = more != NULL ? calloc (1, sizeof *i) : NULL;
  if (more != NULL)
    cd->images = more;
  if (i == NULL)
    return NULL;
  i->cd = cd;
  (void) snprintf (i->key, sizeof i->key, "%s", key);
  cd->images[cd->image_count++] = i;
  return i;
}

static void
list_remove (struct cd_image *i)
{
  struct cd *cd = i->cd;
  for (uint32_t k = 0; k < cd->image_count; k++)
    if (cd->images[k] == i) {
      cd->image_count--;
      memmove (&cd->images[k], &cd->images[k + 1], (cd->image_count - k) * sizeof (struct cd_image *));
      break;
    }
  free (i->bytes);
  free (i);
}

static int
same (const char *a, const char *b)
{
  return strcmp (a != NULL ? a : "", b != NULL ? b : "") == 0;
}

static int
has_name (const struct cd_document *d, const struct cd_want *w)
{
  for (uint32_t i = 0; i < d->names.count; i++) {
    const struct cd_name *n = &d->names.items[i];
    if (strcmp (n->image, w->image) == 0 && same (n->file, w->file) && (w->platform == NULL || same (n->platform, w->platform)))
      return 1;
  }
  return 0;
}

struct cd_image *
cd_cache_find (struct cd *cd, const struct cd_want *w)
{
  struct cd_document d;
  for (uint32_t i = 0; i < cd->image_count; i++)
    if (!cd->images[i]->gone && cd_image_read (cd->images[i], &d, NULL) == 0 && has_name (&d, w))
      return cd->images[i];
  return NULL;
}

struct cd_image *
cd_cache_find_digest (struct cd *cd, const char *digest, const char *wanted_file)
{
  char key[112];
  cd_cache_key (digest, wanted_file, key, sizeof key);
  for (uint32_t i = 0; i < cd->image_count; i++)
    if (!cd->images[i]->gone && strcmp (cd->images[i]->key, key) == 0)
      return cd->images[i];
  return NULL;
}

int
cd_cache_add (struct cd *cd, const char *key, const struct cd_document *doc, struct cd_image **ret, struct hv_err *err)
{
  struct cd_image *i = list_add (cd, key);
  if (i == NULL)
    return no_memory (err);
  i->pins = 1;
  int r = put (i, doc, err);
  i->pins = 0;
  if (r < 0)
    list_remove (i);
  else
    *ret = i;
  return r;
}

/* --- use --- */

/* A reference leads to one image at a time: a tag that was moved is taken off the other. */
static int
forget_name (struct cd_image *i, const struct cd_want *w, struct hv_err *err)
{
  struct cd_document d;
  int r = change_begin (i, &d, err);
  if (r < 0)
    return r;
  uint32_t n = 0;
  for (uint32_t k = 0; k < d.names.count; k++)
    if (strcmp (d.names.items[k].image, w->image) != 0 || !same (d.names.items[k].file, w->file)
        || !same (d.names.items[k].platform, w->platform))
      d.names.items[n++] = d.names.items[k];
  d.names.count = n;
  r = put (i, &d, err);
  change_end (i);
  return r;
}

static int
add_name (struct cd *cd, struct cd_document *d, const struct cd_want *w, const char *etag, struct hv_err *err)
{
  struct cd_name *names = hv_alloc (cd->host, ((uint64_t) d->names.count + 1) * sizeof *names);
  if (names == NULL)
    return no_memory (err);
  if (d->names.count >= NAMES_MAX)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "more than %u references lead to it", NAMES_MAX);
  if (d->names.count > 0)
    memcpy (names, d->names.items, d->names.count * sizeof *names);
  struct cd_name *n = &names[d->names.count++];
  n->image = w->image;
  if (w->file != NULL)
    HV_SET (n, file, w->file);
  if (w->platform != NULL)
    HV_SET (n, platform, w->platform);
  if (etag != NULL)
    HV_SET (n, etag, etag);
  d->names.items = names;
  return 0;
}

static int
add_user (struct cd *cd, struct cd_document *d, const char *used_by, struct hv_err *err)
{
  const char **users = hv_alloc (cd->host, ((uint64_t) d->used_by.count + 1) * sizeof *users);
  for (uint32_t i = 0; i < d->used_by.count; i++)
    if (strcmp (d->used_by.items[i], used_by) == 0)
      return 0;
  if (users == NULL)
    return no_memory (err);
  if (d->used_by.count >= USED_BY_MAX)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "more than %u depend on it", USED_BY_MAX);
  if (d->used_by.count > 0)
    memcpy (users, d->used_by.items, d->used_by.count * sizeof *users);
  users[d->used_by.count] = used_by;
  HV_SET (d, used_by, ((struct hv_strs){ users, d->used_by.count + 1 }));
  return 0;
}

int
cd_image_use (struct cd_image *i, const struct cd_want *w, const char *etag, const char *used_by, struct hv_err *err)
{
  struct cd *cd = i->cd;
  struct cd_document d;
  uint64_t now = cd_wall_ms ();
  int r = change_begin (i, &d, err);
  if (r < 0)
    return r;
  uint32_t users = d.used_by.count;
  int known = w == NULL || has_name (&d, w);
  if (!known)
    r = add_name (cd, &d, w, etag, err);
  if (r == 0 && used_by != NULL)
    r = add_user (cd, &d, used_by, err);
  if (r == 0 && (!known || d.used_by.count != users || now - d.used_ms > TOUCH_MS)) {
    HV_SET (&d, used_ms, now);
    r = put (i, &d, err);
  }
  i->pins++;
  change_end (i);
  for (uint32_t k = cd->image_count; r == 0 && !known && k-- > 0;)
    if (k < cd->image_count && cd->images[k] != i && !cd->images[k]->gone && cd_image_read (cd->images[k], &d, NULL) == 0
        && has_name (&d, w))
      r = forget_name (cd->images[k], w, err);
  i->pins--;
  return r;
}

int
cd_image_release (struct cd_image *i, const char *used_by, struct hv_err *err)
{
  struct cd_document d;
  uint32_t n = 0;
  int r = change_begin (i, &d, err);
  if (r < 0)
    return r;
  const char **left = hv_alloc (i->cd->host, ((uint64_t) d.used_by.count + 1) * sizeof *left);
  for (uint32_t k = 0; left != NULL && k < d.used_by.count; k++)
    if (strcmp (d.used_by.items[k], used_by) != 0)
      left[n++] = d.used_by.items[k];
  int changed = n != d.used_by.count;
  d.used_by = (struct hv_strs){ left, n };
  if (left == NULL)
    r = no_memory (err);
  else if (changed)
    r = put (i, &d, err);
  change_end (i);
  return r;
}

int
cd_image_fill (struct cd_image *i, const char *image, struct hv_image *ret, struct hv_err *err)
{
  struct cd_document d;
  int r = cd_image_read (i, &d, err);
  const char *path = cd_cache_path (i->cd, i->key);
  if (r < 0 || path == NULL)
    return r < 0 ? r : no_memory (err);
  ret->image = image;
  ret->digest = d.digest;
  ret->path = path;
  ret->format = d.format;
  if (HV_HAS (&d, file))
    HV_SET (ret, file, d.file);
  HV_SET (ret, virtual_size_bytes, d.virtual_size_bytes);
  HV_SET (ret, file_size_bytes, d.file_size_bytes);
  HV_SET (ret, allocated_bytes, d.allocated_bytes);
  HV_SET (ret, checksum, d.checksum);
  HV_SET (ret, pulled_ms, d.pulled_ms);
  HV_SET (ret, used_ms, d.used_ms);
  HV_SET (ret, used_by, d.used_by);
  return 0;
}

/* --- removal --- */

struct file_job {
  const char *path;
  int fd, have;
  struct hv_err *err;
};

static int
unused_job (void *arg)
{
  struct file_job *j = arg;
  HV_CLEAN (hv_fd) int fd = -1;
  int r = hv_file_open (j->path, O_RDONLY, &fd, NULL, NULL);
  return r == 0 ? hv_file_check_unused (fd, j->err) : 0; /* one that is not there is in nobody's way */
}

static int
delete_job (void *arg)
{
  struct file_job *j = arg;
  HV_CLEAN (hv_fd) int fd = -1;
  int r = hv_file_open (j->path, O_RDONLY, &fd, NULL, NULL);
  return r == 0 ? hv_file_delete (j->path, fd, j->err) : r == HV_E_NOT_FOUND ? 0 : r;
}

/* The document goes first: a file without one is removed at the next start. */
static int
remove_both (struct cd_image *i, struct hv_err *err)
{
  struct hv_host *h = i->cd->host;
  char key[160];
  struct file_job j = { .path = cd_cache_path (i->cd, i->key), .err = err };
  if (j.path == NULL)
    return no_memory (err);
  (void) snprintf (key, sizeof key, PREFIX "%s", i->key);
  int r = hv_offload (h, unused_job, &j, err);
  if (r == 0)
    r = h->api->store_delete (h, key, err);
  if (r < 0)
    return r;
  i->gone = 1;
  hv_step (h, "remove.forgotten");
  return hv_offload (h, delete_job, &j, err);
}

int
cd_image_remove (struct cd_image *i, struct hv_err *err)
{
  struct cd_document d;
  int r = change_begin (i, &d, err);
  if (r < 0)
    return r;
  if (d.used_by.count > 0)
    r = hv_err_set (err, HV_E_FAILED_PRECONDITION, "%u depend on it, '%s' for one", d.used_by.count, d.used_by.items[0]);
  else if (i->pins > 1)
    r = hv_err_set (err, HV_E_ABORTED, "it is just being asked for");
  else
    r = remove_both (i, err);
  change_end (i);
  if (i->gone && i->pins == 0)
    list_remove (i);
  return r;
}

/* --- space --- */

uint64_t
cd_cache_bytes (const struct cd *cd)
{
  uint64_t n = 0;
  for (uint32_t i = 0; i < cd->image_count; i++)
    n += cd->images[i]->gone ? 0 : cd->images[i]->allocated;
  return n;
}

static int
may_go (const struct cd_image *i)
{
  struct cd_document d;
  return !i->gone && !i->changing && i->pins == 0 && cd_image_read (i, &d, NULL) == 0 && d.used_by.count == 0;
}

static struct cd_image *
longest_unused (const struct cd *cd, uint64_t before_ms)
{
  struct cd_image *oldest = NULL;
  for (uint32_t i = 0; i < cd->image_count; i++)
    if (cd->images[i]->used_ms < before_ms && may_go (cd->images[i])
        && (oldest == NULL || cd->images[i]->used_ms < oldest->used_ms))
      oldest = cd->images[i];
  return oldest;
}

void
cd_cache_collect (struct cd *cd)
{
  uint64_t quota = cd->config->quota_bytes;
  struct cd_image *i;
  while (quota > 0 && cd_cache_bytes (cd) > quota && (i = longest_unused (cd, UINT64_MAX)) != NULL) {
    HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (cd->host);
    char key[112];
    (void) snprintf (key, sizeof key, "%s", i->key);
    if (cd_image_remove (i, err) < 0) {
      hv_log (cd->host, HV_LOG_WARNING, "image %s is not removed: %s", key, hv_err_message (err));
      return;
    }
    hv_log (cd->host, HV_LOG_INFO, "image %s was removed: the cache is full", key);
  }
}

struct room_job {
  const char *path;
  uint64_t free;
};

static int
room_job (void *arg)
{
  struct room_job *j = arg;
  struct statvfs st;
  j->free = statvfs (j->path, &st) == 0 ? (uint64_t) st.f_bavail * st.f_frsize : 0;
  return 0;
}

int
cd_cache_room (struct cd *cd, uint64_t *ret, struct hv_err *err)
{
  struct room_job j = { .path = directory (cd) };
  uint64_t stays = 0, quota = cd->config->quota_bytes, reserve = cd->config->reserve_bytes;
  if (j.path == NULL)
    return no_memory (err);
  int r = hv_offload (cd->host, room_job, &j, err);
  if (r < 0)
    return r;
  for (uint32_t i = 0; i < cd->image_count; i++)
    stays += may_go (cd->images[i]) || cd->images[i]->gone ? 0 : cd->images[i]->allocated;
  uint64_t room = j.free > reserve ? j.free - reserve : 0;
  if (quota > 0 && (quota > stays ? quota - stays : 0) < room)
    room = quota > stays ? quota - stays : 0;
  if (room == 0)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED,
                       "there is no room for another image: the quota is %llu bytes, images in use take %llu, and the "
                       "file system has %llu, of which %llu are to stay free",
                       (unsigned long long) quota, (unsigned long long) stays, (unsigned long long) j.free,
                       (unsigned long long) reserve);
  *ret = room;
  return 0;
}

/* --- beginning and end --- */

struct look_job {
  struct cd *cd;
  const char *dir;
  uint64_t *sizes; /* of each image's file; UINT64_MAX: it is not there */
};

static struct cd_image *
by_key (const struct cd *cd, const char *key, uint32_t *ret_at)
{
  for (uint32_t i = 0; i < cd->image_count; i++)
    if (strcmp (cd->images[i]->key, key) == 0) {
      *ret_at = i;
      return cd->images[i];
    }
  return NULL;
}

static int
look_job (void *arg)
{
  struct look_job *j = arg;
  if (mkdir (j->dir, 0755) < 0 && errno != EEXIST)
    return hv_err_from_errno (errno);
  DIR *d = opendir (j->dir);
  for (struct dirent *e; d != NULL && (e = readdir (d)) != NULL;) {
    struct stat st;
    uint32_t at;
    if (strcmp (e->d_name, ".") == 0 || strcmp (e->d_name, "..") == 0)
      continue;
    if (by_key (j->cd, e->d_name, &at) == NULL)
      (void) unlinkat (dirfd (d), e->d_name, 0);
    else if (fstatat (dirfd (d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG (st.st_mode))
      j->sizes[at] = (uint64_t) st.st_size;
  }
  if (d != NULL)
    (void) closedir (d);
  return d != NULL ? 0 : HV_E_INTERNAL;
}

static int
load_one (struct cd *cd, const char *key, struct hv_err *err)
{
  struct cd_document doc;
  memset (&doc, 0, sizeof doc);
  int r = cd->host->api->store_get (cd->host, key, &cd_document_record, &doc, err);
  struct cd_image *i = r == 0 ? list_add (cd, key + strlen (PREFIX)) : NULL;
  if (r == 0)
    r = i != NULL ? keep (i, &doc, err) : no_memory (err);
  if (r == HV_E_DATA_LOSS) { /* quarantined; what it was about is fetched again when it is wanted */
    hv_log (cd->host, HV_LOG_ERROR, "%s", hv_err_message (err));
    r = 0;
  }
  return r;
}

/* A file of another size is not what the document says. */
static int
drop_missing (struct cd *cd, const uint64_t *sizes, struct hv_err *err)
{
  struct cd_document d;
  int r = 0;
  for (uint32_t i = cd->image_count; r == 0 && i-- > 0;) {
    struct cd_image *image = cd->images[i];
    r = cd_image_read (image, &d, err);
    if (r < 0 || d.file_size_bytes == sizes[i])
      continue;
    hv_log (cd->host, HV_LOG_WARNING, "image '%s' is not in the cache any more: its file is %s",
            d.names.count > 0 ? d.names.items[0].image : d.digest, sizes[i] == UINT64_MAX ? "gone" : "of another size");
    struct hv_err *none = NULL;
    r = remove_both (image, none);
    if (image->gone)
      list_remove (image), r = 0;
  }
  return r;
}

int
cd_cache_load (struct cd *cd, struct hv_err *err)
{
  struct hv_host *h = cd->host;
  struct hv_strs keys = { 0 };
  int r = h->api->store_list (h, &keys, err);
  for (uint32_t i = 0; r == 0 && i < keys.count; i++)
    if (strncmp (keys.items[i], PREFIX, strlen (PREFIX)) == 0) {
      HV_CLEAN (hv_err) struct hv_err *one = hv_err_new (h);
      r = load_one (cd, keys.items[i], one);
      if (r < 0)
        (void) hv_err_set (err, r, "%s", hv_err_message (one));
    }
  struct look_job j = { cd, directory (cd), hv_alloc (h, ((uint64_t) cd->image_count + 1) * sizeof (uint64_t)) };
  if (r < 0 || j.dir == NULL || j.sizes == NULL)
    return r < 0 ? r : no_memory (err);
  memset (j.sizes, 0xff, ((size_t) cd->image_count + 1) * sizeof (uint64_t));
  r = hv_offload (h, look_job, &j, err);
  if (r < 0)
    return hv_err_set (err, r, "read directory '%s'", j.dir);
  return drop_missing (cd, j.sizes, err);
}

void
cd_cache_free (struct cd *cd)
{
  while (cd->image_count > 0)
    list_remove (cd->images[cd->image_count - 1]);
  free (cd->images);
  cd->images = NULL;
}
