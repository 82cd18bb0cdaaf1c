/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tar.h"
#include <stdlib.h>
#include <string.h>

#define BLOCK   512u
#define PAX_MAX (64u << 10)

enum { AT_HEADER, AT_LONG, AT_DATA, AT_PADDING, AT_END };

struct cd_tar {
  const struct cd_tar_ops *ops;
  void *arg;
  int at, wanted, any;
  uint8_t header[BLOCK];
  uint32_t header_size, zero_blocks;
  uint64_t left, padding; /* bytes of the data, and after it */
  /* what a long-name or pax entry said of the next one */
  char long_kind; /* 'L', 'K', 'x', 'g' */
  uint8_t *text;  /* its data */
  uint64_t text_size;
  char path[CD_TAR_PATH_MAX]; /* "" if it said nothing */
  uint64_t size;
  int has_size;
};

struct cd_tar *
cd_tar_new (const struct cd_tar_ops *ops, void *arg)
{
  struct cd_tar *t = calloc (1, sizeof *t);
  if (t != NULL) {
    t->ops = ops;
    t->arg = arg;
  }
  return t;
}

void
cd_tar_free (struct cd_tar *t)
{
  if (t != NULL)
    free (t->text);
  free (t);
}

static int
damaged (struct hv_err *err, const char *what)
{
  return hv_err_set (err, HV_E_DATA_LOSS, "the layer is damaged, or no tar: %s", what);
}

/* --- numbers --- */

/* Octal digits; or, with the top bit set, a number in base 256. */
static int
number (const uint8_t *field, size_t n, uint64_t *ret)
{
  uint64_t v = 0;
  size_t i = 0;
  if (field[0] & 0x80) {
    if (field[0] != 0x80)
      return -1; /* negative, or beyond 2^88 */
    for (i = 1; i < n; i++) {
      if (v >> 56 != 0)
        return -1;
      v = v << 8 | field[i];
    }
    *ret = v;
    return 0;
  }
  while (i < n && field[i] == ' ')
    i++;
  for (; i < n && field[i] >= '0' && field[i] <= '7'; i++)
    v = v << 3 | (uint64_t) (field[i] - '0'); /* 12 digits at most */
  if (i < n && field[i] != '\0' && field[i] != ' ')
    return -1;
  *ret = v;
  return 0;
}

static int
checksum_is_right (const uint8_t *h)
{
  uint64_t said, sum = 0;
  for (size_t i = 0; i < BLOCK; i++)
    sum += i >= 148 && i < 156 ? ' ' : h[i];
  return number (h + 148, 8, &said) == 0 && said == sum;
}

/* --- names --- */

/* `raw` without "." parts and doubled slashes. FAILED_PRECONDITION: absolute, or with "..". */
static int
clean_path (const char *raw, char *ret, struct hv_err *err)
{
  size_t n = 0;
  if (raw[0] == '/')
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "the layer has an absolute name, '%.200s': it is not made in good faith",
                       raw);
  while (*raw != '\0') {
    size_t part = strcspn (raw, "/");
    if (part == 2 && raw[0] == '.' && raw[1] == '.')
      return hv_err_set (err, HV_E_FAILED_PRECONDITION, "the layer has a name with '..' in it: it is not made in good faith");
    if (part > 0 && !(part == 1 && raw[0] == '.')) {
      if (n + part + 2 > CD_TAR_PATH_MAX)
        return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "the layer has a name of more than %u bytes", CD_TAR_PATH_MAX);
      if (n > 0)
        ret[n++] = '/';
      memcpy (ret + n, raw, part);
      n += part;
    }
    raw += part + (raw[part] == '/');
  }
  ret[n] = '\0';
  return 0;
}

static void
header_path (const uint8_t *h, char *ret)
{
  size_t prefix = memcmp (h + 257, "ustar\0", 6) == 0 ? strnlen ((const char *) h + 345, 155) : 0,
         n = strnlen ((const char *) h, 100);
  memcpy (ret, h + 345, prefix);
  if (prefix > 0)
    ret[prefix++] = '/';
  memcpy (ret + prefix, h, n);
  ret[prefix + n] = '\0';
}

/* --- pax --- */

static int
pax_take (struct cd_tar *t, const char *key, size_t key_size, const char *value, size_t n, struct hv_err *err)
{
  if (key_size == 4 && memcmp (key, "path", 4) == 0) {
    if (n == 0 || n >= sizeof t->path || memchr (value, '\0', n) != NULL)
      return damaged (err, "a pax header with an impossible name");
    memcpy (t->path, value, n);
    t->path[n] = '\0';
  } else if (key_size == 4 && memcmp (key, "size", 4) == 0) {
    t->has_size = 1;
    t->size = 0;
    for (size_t i = 0; i < n; i++)
      if (value[i] < '0' || value[i] > '9' || __builtin_mul_overflow (t->size, 10u, &t->size)
          || __builtin_add_overflow (t->size, (uint64_t) (value[i] - '0'), &t->size))
        return damaged (err, "a pax header with an impossible size");
  } else if (key_size > 10 && memcmp (key, "GNU.sparse", 10) == 0)
    return hv_err_set (err, HV_E_UNIMPLEMENTED,
                       "the layer has a file in tar's sparse form; make it without --sparse (holes compress well)");
  return 0;
}

/* Records of "LENGTH KEY=VALUE\n", where the length counts itself. */
static int
pax_read (struct cd_tar *t, struct hv_err *err)
{
  const char *s = (const char *) t->text, *end = s + t->text_size;
  while (s < end) {
    size_t length = 0, digits = 0;
    while (s + digits < end && s[digits] >= '0' && s[digits] <= '9' && digits < 7)
      length = length * 10 + (size_t) (s[digits++] - '0');
    if (digits == 0 || length <= digits + 1 || length > (size_t) (end - s) || s[digits] != ' ' || s[length - 1] != '\n')
      return damaged (err, "a pax header that cannot be read");
    const char *key = s + digits + 1, *equals = memchr (key, '=', (size_t) (s + length - key));
    if (equals == NULL)
      return damaged (err, "a pax header that cannot be read");
    int r = pax_take (t, key, (size_t) (equals - key), equals + 1, (size_t) (s + length - 1 - equals - 1), err);
    if (r < 0)
      return r;
    s += length;
  }
  return 0;
}

static int
long_take (struct cd_tar *t, struct hv_err *err)
{
  int r = 0;
  if (t->long_kind == 'x')
    r = pax_read (t, err);
  else if (t->long_kind == 'L') {
    size_t n = strnlen ((const char *) t->text, t->text_size);
    if (n == 0 || n >= sizeof t->path)
      r = damaged (err, "an impossible long name");
    else {
      memcpy (t->path, t->text, n);
      t->path[n] = '\0';
    }
  } /* what is linked to, and what is said of all entries (comments), is of no interest */
  free (t->text);
  t->text = NULL;
  return r;
}

/* --- entries --- */

static void
after_data (struct cd_tar *t)
{
  t->at = t->padding > 0 ? AT_PADDING : AT_HEADER;
  t->left = t->padding;
}

static int
begin_long (struct cd_tar *t, char kind, uint64_t size, struct hv_err *err)
{
  if (size == 0 || size > PAX_MAX)
    return damaged (err, "an extended header of an impossible size");
  t->long_kind = kind;
  t->text = malloc (size);
  t->text_size = 0;
  if (t->text == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  t->at = AT_LONG;
  t->left = size;
  return 0;
}

static int
begin_entry (struct cd_tar *t, char type, uint64_t size, struct hv_err *err)
{
  char raw[CD_TAR_PATH_MAX], path[CD_TAR_PATH_MAX];
  if (t->path[0] != '\0')
    memcpy (raw, t->path, sizeof raw);
  else
    header_path (t->header, raw);
  int regular = type == '0' || type == '\0' || type == '7';
  struct cd_tar_entry e = { .path = path, .size = size };
  e.kind = regular ? CD_TAR_FILE : type == '1' || type == '2' ? CD_TAR_LINK : type == '5' ? CD_TAR_DIRECTORY : CD_TAR_OTHER;
  if (regular && raw[0] != '\0' && raw[strlen (raw) - 1] == '/')
    e.kind = CD_TAR_DIRECTORY; /* as tars before ustar wrote them */
  t->path[0] = '\0';
  t->has_size = 0;
  int r = clean_path (raw, path, err);
  if (r == 0)
    r = t->ops->entry (t->arg, &e, err);
  if (r < 0)
    return r;
  t->wanted = r > 0;
  t->left = size;
  t->at = AT_DATA;
  if (size == 0)
    after_data (t);
  return 0;
}

static int
take_header (struct cd_tar *t, struct hv_err *err)
{
  static const uint8_t zeros[BLOCK];
  const uint8_t *h = t->header;
  uint64_t size;
  t->header_size = 0;
  if (memcmp (h, zeros, BLOCK) == 0) {
    if (++t->zero_blocks == 2)
      t->at = AT_END;
    return 0;
  }
  if (t->zero_blocks > 0 || !checksum_is_right (h) || number (h + 124, 12, &size) < 0)
    return damaged (err, t->any ? "a header's checksum is wrong" : "it does not begin with a header");
  t->any = 1;
  char type = (char) h[156];
  if (type == 'S')
    return hv_err_set (err, HV_E_UNIMPLEMENTED,
                       "the layer has a file in tar's sparse form; make it without --sparse (holes compress well)");
  int is_long = type == 'L' || type == 'K' || type == 'x' || type == 'g';
  if (!is_long && t->has_size)
    size = t->size;
  if ((type >= '1' && type <= '6' && type != '5') || size > (uint64_t) INT64_MAX)
    size = type >= '1' && type <= '6' ? 0 : UINT64_MAX; /* links and devices have no data, whatever they say */
  if (size == UINT64_MAX)
    return damaged (err, "a file of an impossible size");
  t->padding = (BLOCK - size % BLOCK) % BLOCK;
  return is_long ? begin_long (t, type, size, err) : begin_entry (t, type, size, err);
}

static int
take_data (struct cd_tar *t, const uint8_t *bytes, uint64_t n, struct hv_err *err)
{
  int r = 0;
  if (t->at == AT_LONG) {
    memcpy (t->text + t->text_size, bytes, n);
    t->text_size += n;
  } else if (t->at == AT_DATA && t->wanted)
    r = t->ops->data (t->arg, bytes, n, err);
  t->left -= n;
  if (r < 0 || t->left > 0)
    return r;
  if (t->at == AT_LONG)
    r = long_take (t, err);
  if (t->at == AT_PADDING)
    t->at = AT_HEADER;
  else
    after_data (t);
  return r;
}

int
cd_tar_push (struct cd_tar *t, const uint8_t *bytes, uint64_t n, struct hv_err *err)
{
  int r = 0;
  while (r >= 0 && n > 0 && t->at != AT_END) {
    uint64_t room = t->at == AT_HEADER ? BLOCK - t->header_size : t->left, some = n < room ? n : room;
    if (t->at == AT_HEADER) {
      memcpy (t->header + t->header_size, bytes, some);
      t->header_size += (uint32_t) some;
      r = t->header_size == BLOCK ? take_header (t, err) : 0;
    } else
      r = take_data (t, bytes, some, err);
    bytes += some;
    n -= some;
  }
  return r;
}

/* The two empty blocks at the end are missing in some that are well meant. */
int
cd_tar_end (struct cd_tar *t, struct hv_err *err)
{
  if (t->at == AT_END || (t->at == AT_HEADER && t->header_size == 0 && t->any && t->path[0] == '\0'))
    return 0;
  return damaged (err, t->any ? "it ends in the middle of a file" : "it is empty");
}
