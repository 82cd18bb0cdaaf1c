/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* list: sorted, paged, complete, and a place to watch from. */
#include "sdk/tck/hypervisor/suite.h"
#include <string.h>

#define VMS 7

static void
define_some (struct tck *t)
{
  static const char *const names[VMS] = { "m", "c", "z", "a", "b-2", "b", "b-10" };
  for (size_t i = 0; i < VMS; i++)
    (void) tck_define (t, names[i]);
}

static void
check_sorted (struct tck *t)
{
  size_t i;
  json_t *row;
  const char *before = "";
  define_some (t);
  json_t *items = json_object_get (tck_ok (t, "list", "{\"limit\":5000}"), "items");
  json_array_foreach (items, i, row)
  {
    TCK_CHECK (t, strcmp (before, tck_str (row, "vm")) < 0, "'%s' comes after '%s'", tck_str (row, "vm"), before);
    before = tck_str (row, "vm");
  }
}

/* Reads all pages of `limit`; define one more VM after each page where asked to. Returns the kit's names in order. */
static json_t *
pages (struct tck *t, int limit, int disturb)
{
  json_t *names = tck_keep (t, json_array ()), *row;
  const char *from = NULL;
  size_t i;
  for (int page = 0;; page++) {
    json_t *answer = from != NULL ? tck_ok (t, "list", "{\"limit\":%d,\"continue_from\":\"%s\"}", limit, from)
                                  : tck_ok (t, "list", "{\"limit\":%d}", limit);
    json_t *items = json_object_get (answer, "items");
    TCK_CHECK (t, json_array_size (items) <= (size_t) limit, "limit is %d, the page has %zu rows", limit, json_array_size (items));
    TCK_CHECK (t, page < 10000, "the pages have no end");
    json_array_foreach (items, i, row) if (strncmp (tck_str (row, "vm"), TCK_PREFIX, strlen (TCK_PREFIX)) == 0) (void)
        json_array_append_new (names, json_string (tck_str (row, "vm")));
    if (json_object_get (answer, "continue_from") == NULL)
      return names;
    from = tck_str (answer, "continue_from");
    if (disturb && page < 3)
      (void) tck_define (t, tck_text (t, "%c-new%d", "aaz"[page], page));
  }
}

static size_t
times (const json_t *names, const char *name)
{
  size_t i, n = 0;
  json_t *row;
  json_array_foreach (names, i, row) n += strcmp (json_string_value (row), name) == 0;
  return n;
}

static void
check_paged (struct tck *t)
{
  define_some (t);
  for (int limit = 1; limit <= VMS + 1; limit++) {
    const json_t *names = pages (t, limit, 0);
    TCK_CHECK (t, json_array_size (names) == VMS, "%d VMs were defined; pages of %d have %zu: %s", VMS, limit,
               json_array_size (names), tck_dump (t, names));
    for (size_t i = 0; i < VMS; i++)
      TCK_CHECK (t, times (names, json_string_value (json_array_get (names, i))) == 1, "pages of %d list one twice: %s", limit,
                 tck_dump (t, names));
  }
}

static void
check_paged_meanwhile (struct tck *t)
{
  static const char *const names[VMS] = { "a", "b", "b-10", "b-2", "c", "m", "z" };
  define_some (t);
  const json_t *got = pages (t, 2, 1);
  for (size_t i = 0; i < VMS; i++)
    TCK_CHECK (t, times (got, tck_name (t, names[i])) == 1, "'%s' was there all the time and is listed %zu times: %s", names[i],
               times (got, tck_name (t, names[i])), tck_dump (t, got));
  for (size_t i = 0; i < json_array_size (got); i++)
    TCK_CHECK (t, times (got, json_string_value (json_array_get (got, i))) == 1, "one is listed twice: %s", tck_dump (t, got));
}

static void
check_same_as_get (struct tck *t)
{
  static const char *const members[] = { "state", "uuid", "reason", "pid", "vcpus", "memory_bytes", "labels", "since_ms" };
  const char *vm = tck_running (t, "a");
  size_t i;
  json_t *row, *found = NULL;
  json_array_foreach (json_object_get (tck_ok (t, "list", "{\"limit\":5000}"), "items"), i, row) found
      = strcmp (tck_str (row, "vm"), vm) == 0 ? row : found;
  TCK_CHECK (t, found != NULL, "a running VM is not listed");
  const json_t *got = tck_get (t, vm);
  for (i = 0; i < sizeof members / sizeof members[0]; i++)
    TCK_CHECK (t,
               json_equal (json_object_get (found, members[i]), json_object_get (got, members[i]))
                   || json_object_get (found, members[i]) == json_object_get (got, members[i]),
               "%s: list says %s, get says %s", members[i], tck_dump (t, json_object_get (found, members[i])),
               tck_dump (t, json_object_get (got, members[i])));
}

/* A client that lists and then watches from the cursor misses nothing and hears nothing twice. */
static void
check_cursor (struct tck *t)
{
  const char *vm = tck_define (t, "a");
  const json_t *answer = tck_ok (t, "list", "{}");
  TCK_CHECK (t, tck_int (answer, "epoch") > 0 && tck_int (answer, "seq") >= 0, "list answers without epoch and seq");
  uint64_t from = (uint64_t) tck_int (answer, "seq");
  TCK_CHECK (t, from == tck_mark (t), "seq is %llu, the newest event is %llu", (unsigned long long) from,
             (unsigned long long) tck_mark (t));
  (void) tck_ok (t, "undefine", "{\"vm\":\"%s\"}", vm);
  TCK_CHECK (t, json_array_size (tck_events (t, from, "lifecycle", vm)) == 1,
             "the undefinition is not one event after the cursor: %s", tck_dump (t, tck_events (t, from, "lifecycle", vm)));
}

const struct tck_check tck_list_checks[] = {
  { "list.sorted", "list is sorted by name", NULL, check_sorted },
  { "list.paged", "limit and continue_from: every VM once, whatever the size of a page", NULL, check_paged },
  { "list.paged-meanwhile", "pages miss and repeat nothing that was there all the time, while others are defined", NULL,
    check_paged_meanwhile },
  { "list.same-as-get", "list and get say the same of a VM", NULL, check_same_as_get },
  { "list.cursor", "list answers with the cursor of the newest event, to watch from", NULL, check_cursor },
  { NULL, NULL, NULL, NULL },
};
