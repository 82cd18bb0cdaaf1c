/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Durable documents. See store.h for the promise; the order of steps in put_file is the promise's proof. */
#include "core/store/store.h"
#include "core/fault/fault.h"
#include "core/limits.h"
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define FORMAT_VERSION 1u
#define SUFFIX         ".rec"
#define KEY_MAX        200u

struct header { /* little-endian in the file */
  char magic[8];
  uint32_t version, crc;
  uint64_t generation, size;
};
static const char magic[8] = "HVREC\r\n";

struct hv_store {
  char *dir;
  int dir_fd;
  _Atomic int read_only;
  uint64_t generation;
  pthread_mutex_t lock;
};

/* --- faults, for tests --- */

static struct {
  char step[16];
  _Atomic int nth;
  int errnum;
} fault;

void
hv_store_fault (const char *step, int nth, int errnum)
{
  (void) snprintf (fault.step, sizeof fault.step, "%s", step);
  fault.errnum = errnum;
  atomic_store (&fault.nth, nth);
}

static int
faulty (const char *step)
{
  if (atomic_load_explicit (&fault.nth, memory_order_relaxed) == 0 || strcmp (fault.step, step) != 0)
    return 0;
  if (atomic_fetch_sub (&fault.nth, 1) != 1)
    return 0;
  errno = fault.errnum;
  return 1;
}

/* --- checksum --- */

uint32_t
hv_crc32c (const void *data, uint64_t n)
{
  static _Atomic uint32_t table[256];
  static _Atomic int ready;
  const uint8_t *p = data;
  uint32_t crc = ~0u;
  if (!atomic_load_explicit (&ready, memory_order_acquire)) {
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t c = i;
      for (int k = 0; k < 8; k++)
        c = c & 1 ? 0x82f63b78u ^ c >> 1 : c >> 1;
      atomic_store_explicit (&table[i], c, memory_order_relaxed);
    }
    atomic_store_explicit (&ready, 1, memory_order_release);
  }
  for (uint64_t i = 0; i < n; i++)
    crc = atomic_load_explicit (&table[(crc ^ p[i]) & 255], memory_order_relaxed) ^ crc >> 8;
  return ~crc;
}

/* --- names --- */

static int
check_key (const char *key, struct hv_err *err)
{
  size_t n = strlen (key);
  int good = n >= 1 && n <= KEY_MAX && key[0] != '.';
  for (size_t i = 0; good && i < n; i++)
    good = (key[i] >= 'a' && key[i] <= 'z') || (key[i] >= 'A' && key[i] <= 'Z') || (key[i] >= '0' && key[i] <= '9') || strchr ("._-", key[i]) != NULL;
  return good ? 0 : hv_err_set (err, HV_E_INVALID_ARGUMENT, "document '%.80s': a key is 1 to %u of a-z A-Z 0-9 . _ -, not beginning with a dot", key, KEY_MAX);
}

static void
name_of (const char *key, char *out, size_t size, const char *suffix)
{
  (void) snprintf (out, size, "%s%s", key, suffix);
}

/* --- open --- */

/* A failed fsync may have thrown the data away, and a second one would lie: nothing is written any more. */
static int
sync_fd (struct hv_store *s, int fd, const char *step)
{
  if (!faulty (step) && fsync (fd) == 0)
    return 0;
  atomic_store (&s->read_only, 1);
  return -1;
}

static int
is_temporary (const char *name)
{
  return name[0] == '.' && strncmp (name, ".new-", 5) == 0;
}

static int
sweep (struct hv_store *s, struct hv_err *err)
{
  int fd = openat (s->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = fd >= 0 ? fdopendir (fd) : NULL;
  if (d == NULL)
    return hv_err_sys (err, errno, "store '%s'", s->dir);
  for (struct dirent *e; (e = readdir (d)) != NULL;)
    if (is_temporary (e->d_name))
      (void) unlinkat (s->dir_fd, e->d_name, 0);
  (void) closedir (d);
  return 0;
}

int
hv_store_open (const char *dir, struct hv_store **ret, struct hv_err *err)
{
  if (mkdir (dir, 0700) < 0 && errno != EEXIST)
    return hv_err_sys (err, errno, "store '%s'", dir);
  struct hv_store *s = calloc (1, sizeof *s);
  if (s == NULL || (s->dir = strdup (dir)) == NULL) {
    free (s);
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "store '%s': out of memory", dir);
  }
  (void) pthread_mutex_init (&s->lock, NULL);
  s->dir_fd = open (dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int r = s->dir_fd < 0 ? hv_err_sys (err, errno, "store '%s'", dir) : sweep (s, err);
  if (r == 0)
    (void) sync_fd (s, s->dir_fd, "open"); /* a rename that was cut off before its sync; if that fails, the store is read-only */
  if (r < 0) {
    hv_store_close (s);
    return r;
  }
  *ret = s;
  return 0;
}

void
hv_store_close (struct hv_store *s)
{
  if (s == NULL)
    return;
  if (s->dir_fd >= 0)
    (void) close (s->dir_fd);
  (void) pthread_mutex_destroy (&s->lock);
  free (s->dir);
  free (s);
}

int
hv_store_read_only (const struct hv_store *s)
{
  return atomic_load (&s->read_only);
}

/* --- put --- */

static int
read_whole (int fd, void *to, uint64_t n)
{
  for (uint64_t at = 0; at < n;) {
    ssize_t k = pread (fd, (uint8_t *) to + at, n - at, (off_t) at);
    if (k < 0 && errno == EINTR)
      continue;
    if (k <= 0)
      return -1;
    at += (uint64_t) k;
  }
  return 0;
}

static int
write_whole (int fd, const struct header *h, struct hv_bin doc)
{
  struct iovec parts[2] = { { (void *) (uintptr_t) h, sizeof *h }, { (void *) (uintptr_t) doc.data, doc.size } };
  struct iovec *at = parts;
  int left = 2;
  if (faulty ("write"))
    return -1;
  if (hv_fault_full ()) {
    errno = ENOSPC;
    return -1;
  }
  while (left > 0) {
    ssize_t n = writev (fd, at, left);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return -1;
    while (left > 0 && (size_t) n >= at->iov_len) {
      n -= (ssize_t) at->iov_len;
      at++;
      left--;
    }
    if (left > 0) {
      at->iov_base = (uint8_t *) at->iov_base + n;
      at->iov_len -= (size_t) n;
    }
  }
  return 0;
}

/* temporary → fsync → rename → fsync of the directory. Before the rename the old document stands, after it the new one. */
static int
put_file (struct hv_store *s, const char *temp, const char *name, const struct header *h, struct hv_bin doc)
{
  if (hv_fault_broken ("store.put"))
    return 0;
  int fd = openat (s->dir_fd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0)
    return -1;
  int r = write_whole (fd, h, doc);
  if (r == 0)
    r = sync_fd (s, fd, "fsync");
  int errnum = errno;
  (void) close (fd);
  errno = errnum;
  hv_fault_step ("store", "written");
  if (r == 0)
    r = faulty ("rename") ? -1 : renameat (s->dir_fd, temp, s->dir_fd, name);
  hv_fault_step ("store", "renamed");
  return r == 0 ? sync_fd (s, s->dir_fd, "fsyncdir") : r;
}

/* Whether the file says just that already. Then it is durable, too: every rename since the store was opened was synced, and the
 * opening itself synced those before. */
static int
is_stored (struct hv_store *s, const char *name, const struct header *h, struct hv_bin doc)
{
  struct stat st;
  struct header there;
  HV_CLEAN (hv_fd) int fd = openat (s->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 || fstat (fd, &st) < 0 || !S_ISREG (st.st_mode) || (uint64_t) st.st_size != sizeof there + doc.size)
    return 0;
  HV_CLEAN (hv_free) uint8_t *all = malloc ((size_t) st.st_size);
  if (all == NULL || read_whole (fd, all, (uint64_t) st.st_size) < 0)
    return 0;
  memcpy (&there, all, sizeof there);
  there.generation = h->generation;
  return memcmp (&there, h, sizeof there) == 0 && memcmp (all + sizeof there, doc.data, doc.size) == 0;
}

static int
writable (const struct hv_store *s, struct hv_err *err)
{
  if (!hv_store_read_only (s))
    return 0;
  return hv_err_set (err, HV_E_UNAVAILABLE, "store '%s' is read-only since a document could not be made durable; repair the storage and restart hvkitd", s->dir);
}

int
hv_store_put (struct hv_store *s, const char *key, struct hv_bin doc, struct hv_err *err)
{
  char name[KEY_MAX + 8], temp[KEY_MAX + 16];
  int r = check_key (key, err);
  if (r == 0 && doc.size > HV_LIMIT_RECORD_BYTES)
    r = hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "document '%s' has %llu bytes, the limit is %u", key, (unsigned long long) doc.size, HV_LIMIT_RECORD_BYTES);
  if (r < 0)
    return r;
  name_of (key, name, sizeof name, SUFFIX);
  (void) snprintf (temp, sizeof temp, ".new-%s", key);
  pthread_mutex_lock (&s->lock);
  r = writable (s, err);
  struct header h = { .version = htole32 (FORMAT_VERSION), .crc = htole32 (hv_crc32c (doc.data, doc.size)), .generation = htole64 (++s->generation),
                      .size = htole64 (doc.size) };
  memcpy (h.magic, magic, sizeof h.magic);
  if (r == 0 && !is_stored (s, name, &h, doc) && put_file (s, temp, name, &h, doc) < 0) {
    r = hv_err_sys (err, errno, "write document '%s/%s'", s->dir, name);
    (void) unlinkat (s->dir_fd, temp, 0);
  }
  pthread_mutex_unlock (&s->lock);
  return r;
}

/* --- get --- */

/* Sets a damaged file aside, so that it is neither used nor lost. */
static int
quarantine (struct hv_store *s, const char *name, const char *why, struct hv_err *err)
{
  char to[KEY_MAX + 32];
  (void) mkdirat (s->dir_fd, "quarantine", 0700);
  (void) snprintf (to, sizeof to, "quarantine/%s", name);
  (void) renameat (s->dir_fd, name, s->dir_fd, to);
  return hv_err_set (err, HV_E_DATA_LOSS, "document '%s/%s' is damaged (%s); it was set aside in '%s/quarantine'", s->dir, name, why, s->dir);
}

static int
missing (struct hv_store *s, const char *name, struct hv_err *err)
{
  char aside[KEY_MAX + 32];
  (void) snprintf (aside, sizeof aside, "quarantine/%s", name);
  if (faccessat (s->dir_fd, aside, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
    return hv_err_set (err, HV_E_DATA_LOSS, "document '%s/%s' was damaged and is set aside in '%s/quarantine'", s->dir, name, s->dir);
  return hv_err_set (err, HV_E_NOT_FOUND, "there is no document '%s/%s'", s->dir, name);
}

static int
get_file (struct hv_store *s, const char *name, struct hv_pack *ret, struct hv_err *err)
{
  struct stat st;
  struct header h;
  HV_CLEAN (hv_fd) int fd = openat (s->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return errno == ENOENT ? missing (s, name, err) : hv_err_sys (err, errno, "read document '%s/%s'", s->dir, name);
  if (fstat (fd, &st) < 0 || st.st_size < (off_t) sizeof h || st.st_size > (off_t) (HV_LIMIT_RECORD_BYTES + sizeof h))
    return quarantine (s, name, "its size is impossible", err);
  HV_CLEAN (hv_free) uint8_t *all = malloc ((size_t) st.st_size);
  if (all == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "read document '%s/%s': out of memory", s->dir, name);
  if (read_whole (fd, all, (uint64_t) st.st_size) < 0)
    return hv_err_sys (err, errno, "read document '%s/%s'", s->dir, name);
  memcpy (&h, all, sizeof h);
  if (memcmp (h.magic, magic, sizeof magic) != 0)
    return quarantine (s, name, "it does not begin as a document", err);
  if (le32toh (h.version) > FORMAT_VERSION)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "document '%s/%s' has format %u, this hvkitd knows up to %u: upgrade hvkitd", s->dir, name,
                       le32toh (h.version), FORMAT_VERSION);
  if (le64toh (h.size) != (uint64_t) st.st_size - sizeof h)
    return quarantine (s, name, "it is cut short", err);
  if (le32toh (h.crc) != hv_crc32c (all + sizeof h, le64toh (h.size)))
    return quarantine (s, name, "its checksum is wrong", err);
  hv_pack_raw (ret, all + sizeof h, le64toh (h.size));
  return ret->failed ? hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory") : 0;
}

int
hv_store_get (struct hv_store *s, const char *key, struct hv_pack *ret, struct hv_err *err)
{
  char name[KEY_MAX + 8];
  int r = check_key (key, err);
  if (r < 0)
    return r;
  name_of (key, name, sizeof name, SUFFIX);
  pthread_mutex_lock (&s->lock);
  r = get_file (s, name, ret, err);
  pthread_mutex_unlock (&s->lock);
  return r;
}

/* --- delete, list --- */

int
hv_store_delete (struct hv_store *s, const char *key, struct hv_err *err)
{
  char name[KEY_MAX + 8], aside[KEY_MAX + 32];
  int r = check_key (key, err);
  if (r < 0)
    return r;
  name_of (key, name, sizeof name, SUFFIX);
  (void) snprintf (aside, sizeof aside, "quarantine/%s", name);
  pthread_mutex_lock (&s->lock);
  r = writable (s, err);
  if (r == 0) {
    int gone = unlinkat (s->dir_fd, name, 0) == 0, errnum = errno;
    gone |= unlinkat (s->dir_fd, aside, 0) == 0;
    hv_fault_step ("store", "deleted");
    if (gone && sync_fd (s, s->dir_fd, "fsyncdir") < 0)
      r = hv_err_sys (err, errno, "delete document '%s/%s'", s->dir, name);
    else if (!gone && errnum != ENOENT)
      r = hv_err_sys (err, errnum, "delete document '%s/%s'", s->dir, name);
  }
  pthread_mutex_unlock (&s->lock);
  return r;
}

struct names {
  char **list;
  uint32_t count, capacity;
  uint64_t bytes;
};

static int
names_add (struct names *n, const char *file)
{
  size_t len = strlen (file);
  if (len <= strlen (SUFFIX) || file[0] == '.' || strcmp (file + len - strlen (SUFFIX), SUFFIX) != 0)
    return 0;
  if (n->count == n->capacity) {
    uint32_t want = n->capacity > 0 ? n->capacity * 2 : 64;
    char **more = realloc (n->list, want * sizeof *more);
    if (more == NULL)
      return -1;
    n->list = more;
    n->capacity = want;
  }
  n->list[n->count] = strndup (file, len - strlen (SUFFIX));
  if (n->list[n->count] == NULL)
    return -1;
  n->bytes += len - strlen (SUFFIX) + 1;
  n->count++;
  return 0;
}

static int
names_read (struct hv_store *s, const char *sub, struct names *n)
{
  int fd = openat (s->dir_fd, sub, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
  DIR *d = fd >= 0 ? fdopendir (fd) : NULL;
  if (d == NULL)
    return errno == ENOENT ? 0 : -1;
  for (struct dirent *e; r == 0 && (e = readdir (d)) != NULL;)
    r = names_add (n, e->d_name);
  (void) closedir (d);
  return r;
}

static int
by_name (const void *a, const void *b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

/* One block: the pointers, then the texts. A key that stands in both places is listed once. */
static int
names_pack (const struct names *n, struct hv_strs *ret)
{
  const char **block = malloc ((n->count + 1u) * sizeof *block + n->bytes);
  char *text = (char *) (block + n->count + 1);
  uint32_t count = 0;
  if (block == NULL)
    return -1;
  for (uint32_t i = 0; i < n->count; i++) {
    size_t len = strlen (n->list[i]) + 1;
    if (count > 0 && strcmp (block[count - 1], n->list[i]) == 0)
      continue;
    memcpy (text, n->list[i], len);
    block[count++] = text;
    text += len;
  }
  *ret = (struct hv_strs){ block, count };
  return 0;
}

int
hv_store_list (struct hv_store *s, struct hv_strs *ret, struct hv_err *err)
{
  struct names n = { 0 };
  pthread_mutex_lock (&s->lock);
  int r = names_read (s, ".", &n);
  if (r == 0)
    r = names_read (s, "quarantine", &n);
  pthread_mutex_unlock (&s->lock);
  if (n.count > 0)
    qsort (n.list, n.count, sizeof *n.list, by_name);
  if (r == 0)
    r = names_pack (&n, ret);
  for (uint32_t i = 0; i < n.count; i++)
    free (n.list[i]);
  free (n.list);
  return r < 0 ? hv_err_sys (err, errno, "list store '%s'", s->dir) : 0;
}
