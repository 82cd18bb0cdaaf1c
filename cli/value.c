/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is typed for one field → its value. The daemon checks again; checking here gives the answer before anything is sent. */
#include "cli.h"
#include "core/msg/msg.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define NO(...) ((void) (*ret_why = hv_node_printf (&app->arena, __VA_ARGS__)), NULL)

/* --- numbers --- */

struct suffix {
  const char *word;
  uint64_t factor;
};
static const struct suffix size_suffixes[] = {
  { "", 1 },     { "Ki", 1ull << 10 }, { "Mi", 1ull << 20 }, { "Gi", 1ull << 30 }, { "Ti", 1ull << 40 },   { "Pi", 1ull << 50 },
  { "K", 1000 }, { "k", 1000 },        { "M", 1000000 },     { "G", 1000000000 },  { "T", 1000000000000 }, { NULL, 0 }
};
static const struct suffix time_suffixes[]
    = { { "", 1 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 }, { NULL, 0 } };
static const struct suffix no_suffixes[] = { { "", 1 }, { NULL, 0 } };

static int
parse_suffixed (const char *text, const struct suffix *s, uint64_t *ret)
{
  char *end = NULL;
  if (*text < '0' || *text > '9')
    return 0;
  errno = 0;
  uint64_t n = strtoull (text, &end, text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10);
  if (errno != 0)
    return 0;
  while (s->word != NULL && strcmp (s->word, end) != 0)
    s++;
  return s->word != NULL && !__builtin_mul_overflow (n, s->factor, ret);
}

int
hv_value_duration (const char *text, uint64_t *ret_ms)
{
  return parse_suffixed (text, time_suffixes, ret_ms);
}

static int
is_type (const struct hv_model_field *f, const char *type)
{
  return strcmp (f->type, type) == 0;
}

static int
has_unit (const struct hv_model_field *f, const char *unit)
{
  return f->unit != NULL && strcmp (f->unit, unit) == 0;
}

static const char *
range_text (struct hv_app *app, const struct hv_model_field *f)
{
  const char *lo = f->min != NULL ? hv_format_value (&app->arena, f->min, "", 0) : "0";
  return f->max != NULL ? hv_node_printf (&app->arena, "%s to %s", lo, hv_format_value (&app->arena, f->max, "", 0))
                        : hv_node_printf (&app->arena, "at least %s", lo);
}

static struct hv_node *
parse_unsigned (struct hv_app *app, const struct hv_model_field *f, const char *text, const char **ret_why)
{
  uint64_t n;
  const struct suffix *s = has_unit (f, "bytes") ? size_suffixes : has_unit (f, "ms") ? time_suffixes : no_suffixes;
  if (!parse_suffixed (text, s, &n))
    return NO ("'%s' is not %s", text,
               s == size_suffixes   ? "a size (4096, 512Mi, 10Gi)"
               : s == time_suffixes ? "a duration (1500, 30s, 5m)"
                                    : "a whole number");
  if ((f->min != NULL && f->min->type == HV_NODE_UINT && n < f->min->as.u)
      || (f->max != NULL && f->max->type == HV_NODE_UINT && n > f->max->as.u) || (is_type (f, "u32") && n > UINT32_MAX))
    return NO ("'%s' is out of range: %s", text, f->min == NULL && f->max == NULL ? "0 to 4294967295" : range_text (app, f));
  return hv_node_uint (&app->arena, n);
}

static int64_t
signed_of (const struct hv_node *n)
{
  return n->type == HV_NODE_UINT && n->as.u > INT64_MAX ? INT64_MAX : n->as.i;
}

static struct hv_node *
parse_signed (struct hv_app *app, const struct hv_model_field *f, const char *text, const char **ret_why)
{
  char *end = NULL;
  errno = 0;
  int64_t n = strtoll (text, &end, 10);
  if (errno != 0 || end == text || *end != '\0')
    return NO ("'%s' is not a whole number", text);
  if ((f->min != NULL && n < signed_of (f->min)) || (f->max != NULL && n > signed_of (f->max)))
    return NO ("'%s' is out of range: %s", text, range_text (app, f));
  struct hv_node *node = hv_node_new (&app->arena, n < 0 ? HV_NODE_INT : HV_NODE_UINT);
  node->as.i = n;
  return node;
}

static struct hv_node *
parse_float (struct hv_app *app, const char *text, const char **ret_why)
{
  char *end = NULL;
  double d = strtod (text, &end);
  if (end == text || *end != '\0' || !isfinite (d))
    return NO ("'%s' is not a number", text);
  struct hv_node *node = hv_node_new (&app->arena, HV_NODE_F64);
  node->as.f = d;
  return node;
}

static struct hv_node *
parse_bool (struct hv_app *app, const char *text, const char **ret_why)
{
  static const char *const yes[] = { "true", "yes", "on", "1" }, *const no[] = { "false", "no", "off", "0" };
  struct hv_node *node = hv_node_new (&app->arena, HV_NODE_BOOL);
  for (size_t i = 0; i < 4; i++)
    if (strcasecmp (text, yes[i]) == 0 || strcasecmp (text, no[i]) == 0) {
      node->as.u = strcasecmp (text, yes[i]) == 0;
      return node;
    }
  return NO ("'%s' is neither true nor false", text);
}

/* --- text, files, JSON --- */

/* The daemon wants absolute paths and has another working directory; it runs on this node, so ours is meant. */
static const char *
absolute (struct hv_app *app, const char *text)
{
  char dir[PATH_MAX], *copy = hv_node_strn (&app->arena, text, strlen (text));
  if (*text == '/' || *text == '\0')
    return text;
  const char *name = basename (hv_node_strn (&app->arena, text, strlen (text)));
  if (strcmp (name, ".") != 0 && strcmp (name, "..") != 0 && realpath (dirname (copy), dir) != NULL)
    return hv_node_printf (&app->arena, "%s/%s", strcmp (dir, "/") == 0 ? "" : dir, name);
  if (getcwd (dir, sizeof dir) == NULL)
    return text;
  return hv_node_printf (&app->arena, "%s/%s", dir, text);
}

static int
read_all (struct hv_app *app, int fd, uint64_t limit, struct hv_node *to)
{
  uint64_t capacity = 65536, size = 0;
  char *data = hv_node_alloc (&app->arena, capacity + 1);
  for (;;) {
    if (size == capacity) {
      char *more = hv_node_alloc (&app->arena, capacity * 2 + 1);
      memcpy (more, data, size);
      data = more;
      capacity *= 2;
    }
    ssize_t n = read (fd, data + size, capacity - size);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return -errno;
    size += (uint64_t) n;
    if (n == 0 || size > limit)
      break;
  }
  data[size] = '\0';
  to->as.s.data = data;
  to->as.s.size = size;
  return size > limit ? -EFBIG : 0;
}

struct hv_node *
hv_value_file (struct hv_app *app, const struct hv_model_field *f, const char *path, const char **ret_why)
{
  int standard = strcmp (path, "-") == 0;
  HV_CLEAN (hv_fd) int opened = -1;
  uint64_t limit = app->client != NULL && hv_client_info (app->client)->request_bytes != 0
                       ? hv_client_info (app->client)->request_bytes
                       : 1u << 20;
  if (!standard && (opened = open (path, O_RDONLY | O_CLOEXEC)) < 0)
    return NO ("read '%s': %s", path, strerror (errno));
  struct hv_node *node = hv_node_new (&app->arena, f != NULL && is_type (f, "bin") ? HV_NODE_BIN : HV_NODE_STR);
  int r = read_all (app, standard ? STDIN_FILENO : opened, limit, node);
  if (r == -EFBIG)
    return NO ("read '%s': longer than the %" PRIu64 " bytes a request may have", path, limit);
  if (r != 0)
    return NO ("read '%s': %s", path, strerror (-r));
  if (node->type == HV_NODE_STR && memchr (node->as.s.data, '\0', node->as.s.size) != NULL)
    return NO ("'%s' is not a text file", path);
  return node;
}

struct hv_node *
hv_value_json (struct hv_app *app, const char *text, const char **ret_why)
{
  HV_CLEAN (hv_pack) struct hv_pack p = { 0 };
  HV_CLEAN (hv_err) struct hv_err *err = hv_client_err_new ();
  if (hv_json_to_pack (text, strlen (text), &p, err) != 0)
    return NO ("not JSON: %s", hv_err_message (err));
  return hv_node_decode (&app->arena, hv_client_packed (&p));
}

static struct hv_node *
parse_enum (struct hv_app *app, const struct hv_model_field *f, const char *text, const char **ret_why)
{
  const char *all = "";
  for (const char *const *w = f->words; *w != NULL; w++) {
    if (strcmp (*w, text) == 0)
      return hv_node_text (&app->arena, text);
    all = hv_node_printf (&app->arena, "%s%s%s", all, *all != '\0' ? ", " : "", *w);
  }
  const char *near = hv_nearest (text, strlen (text), f->words);
  return near != NULL ? NO ("'%s' is none of: %s (did you mean '%s'?)", text, all, near) : NO ("'%s' is none of: %s", text, all);
}

static struct hv_node *
parse_map (struct hv_app *app, const char *text, const char **ret_why)
{
  if (*text == '{')
    return hv_value_json (app, text, ret_why);
  const char *eq = strchr (text, '=');
  if (eq == NULL || eq == text)
    return NO ("'%s' is not KEY=VALUE", text);
  struct hv_node *map = hv_node_new (&app->arena, HV_NODE_MAP);
  hv_node_put (&app->arena, map, hv_node_strn (&app->arena, text, (uint64_t) (eq - text)), hv_node_text (&app->arena, eq + 1));
  return map;
}

static struct hv_node *
parse_record (struct hv_app *app, const struct hv_model_field *f, const char *text, const char **ret_why)
{
  struct hv_node *n = hv_value_json (app, text, ret_why);
  if (n != NULL && n->type != HV_NODE_MAP && !(n->type == HV_NODE_LIST && is_type (f, "records")))
    return NO ("has to be a JSON object%s", is_type (f, "records") ? " or a list of them" : "");
  return n;
}

static struct hv_node *
parse_text (struct hv_app *app, const struct hv_model_field *f, const char *text)
{
  struct hv_node *n = hv_node_text (&app->arena, f->path ? absolute (app, text) : text);
  if (is_type (f, "bin"))
    n->type = HV_NODE_BIN;
  return n;
}

struct hv_node *
hv_value_parse (struct hv_app *app, const struct hv_model_field *f, const char *text, const char **ret_why)
{
  const char *ignored;
  if (f->file)
    return hv_value_file (app, f, text, ret_why);
  if (is_type (f, "bool"))
    return parse_bool (app, text, ret_why);
  if (is_type (f, "u32") || is_type (f, "u64"))
    return parse_unsigned (app, f, text, ret_why);
  if (is_type (f, "i64"))
    return parse_signed (app, f, text, ret_why);
  if (is_type (f, "f64"))
    return parse_float (app, text, ret_why);
  if (is_type (f, "enum"))
    return parse_enum (app, f, text, ret_why);
  if (is_type (f, "record") || is_type (f, "records"))
    return parse_record (app, f, text, ret_why);
  if (is_type (f, "map"))
    return parse_map (app, text, ret_why);
  if (is_type (f, "fd"))
    return NO ("takes a descriptor, which a command line cannot pass");
  if (is_type (f, "any")) {
    struct hv_node *n = hv_value_json (app, text, &ignored);
    return n != NULL ? n : hv_node_text (&app->arena, text);
  }
  return parse_text (app, f, text);
}

/* --- what stands for a value in help --- */

static const char *
enum_placeholder (struct hv_arena *a, const struct hv_model_field *f)
{
  const char *text = "";
  for (const char *const *w = f->words; *w != NULL; w++)
    text = hv_node_printf (a, "%s%s%s", text, *text != '\0' ? "|" : "", *w);
  return strlen (text) <= 40 ? text : "WORD";
}

const char *
hv_value_placeholder (struct hv_arena *a, const struct hv_model_field *f)
{
  static const struct {
    const char *type, *text;
  } names[] = { { "bool", "true|false" }, { "u32", "N" },    { "u64", "N" },       { "i64", "N" },
                { "f64", "NUMBER" },      { "bin", "TEXT" }, { "record", "JSON" }, { "records", "JSON" },
                { "map", "KEY=VALUE" },   { "any", "JSON" }, { "fd", "FD" } };
  if (f->file)
    return "FILE";
  if (f->path)
    return "PATH";
  if (has_unit (f, "bytes"))
    return "SIZE";
  if (has_unit (f, "ms"))
    return "DURATION";
  if (is_type (f, "enum"))
    return enum_placeholder (a, f);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (is_type (f, names[i].type))
      return names[i].text;
  return "TEXT";
}
