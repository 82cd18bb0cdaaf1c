/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables: which are refused at load, that ours are not, and that shorter ones (of an older SDK) work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "core/err/err.h"
#include "core/msg/msg.h"
#include "tests/lib/every_type.h"
#include <cmocka.h>
#include <hvkit/iface/agent.h>
#include <hvkit/iface/disk.h>
#include <hvkit/iface/hypervisor.h>
#include <hvkit/iface/image.h>
#include <hvkit/iface/net.h>
#include <stdio.h>
#include <string.h>

static void
validate (const struct hv_record *rec)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_error_new ();
  if (rec != NULL && hv_record_validate (rec, err) < 0)
    fail_msg ("%s", hv_err_message (err));
}

static void
test_interfaces_are_well_formed (void **state)
{
  static const struct hv_iface *const ifaces[]
      = { &hv_iface_hypervisor, &hv_iface_disk, &hv_iface_agent, &hv_iface_image, &hv_iface_net };
  (void) state;
  validate (&et_tree_record);
  for (size_t i = 0; i < sizeof ifaces / sizeof *ifaces; i++) {
    for (const struct hv_method *const *m = ifaces[i]->verbs; *m != NULL; m++) {
      validate ((*m)->args);
      validate ((*m)->result);
    }
    for (const struct hv_event *const *e = ifaces[i]->events; e != NULL && *e != NULL; e++)
      validate ((*e)->data);
  }
}

/* --- one wrong field at a time --- */

union member { /* as large and as aligned as any */
  uint64_t number;
  struct hv_map map;
};
struct one {
  union member a, b;
  uint8_t has;
};
/* a good field; what a test names overrides it */
#pragma GCC diagnostic ignored "-Woverride-init"
#define FIELD(...) \
  { \
    .struct_size = sizeof (struct hv_field), .name = "f", .type = HV_T_STR, .offset = offsetof (struct one, a), \
    .has_offset = offsetof (struct one, has), __VA_ARGS__ \
  }

static void
refused (struct hv_field f, const char *text)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_error_new ();
  const struct hv_field *const fields[] = { &f, NULL };
  struct hv_record rec = { sizeof rec, sizeof (struct one), "one", "doc", fields };
  int r = hv_record_validate (&rec, err);
  if (text == NULL) {
    if (r != 0)
      fail_msg ("%s", hv_err_message (err));
    return;
  }
  assert_int_equal (r, HV_E_FAILED_PRECONDITION);
  assert_string_equal (hv_err_message (err), text);
}

static void
test_bad_fields (void **state)
{
  static const char *const no_words[] = { NULL }, *const twice[] = { "a", "b", "a", NULL };
  (void) state;
  refused ((struct hv_field) FIELD (.doc = "fine"), NULL);
  refused ((struct hv_field) FIELD (.name = NULL), "record 'one': a field has no name");
  refused ((struct hv_field) FIELD (.name = ""), "record 'one': a field has no name");
  refused ((struct hv_field) FIELD (.name = "_x"), "record 'one': _x: names that begin with '_' are reserved");
  refused ((struct hv_field) FIELD (.name = "a-b"), "record 'one': a-b: a field's name has letters, digits and '_' only");
  refused ((struct hv_field) FIELD (.type = 0), "record 'one': f: type 0 is not known to this core");
  refused ((struct hv_field) FIELD (.type = 15), "record 'one': f: type 15 is not known to this core");
  refused ((struct hv_field) FIELD (.struct_size = 16), "record 'one': a field's table entry has 16 bytes, at least 40 are needed");
  refused ((struct hv_field) FIELD (.offset = sizeof (struct one) - 4), "record 'one': f: it lies outside its struct of 40 bytes");
  refused ((struct hv_field) FIELD (.has_offset = sizeof (struct one)), "record 'one': f: it lies outside its struct of 40 bytes");
  refused ((struct hv_field) FIELD (.offset = UINT32_MAX - 7), "record 'one': f: it lies outside its struct of 40 bytes");
  refused ((struct hv_field) FIELD (.offset = 4), "record 'one': f: it is not aligned");
  refused ((struct hv_field) FIELD (.type = HV_T_REC), "record 'one': f: it names no record");
  refused ((struct hv_field) FIELD (.type = HV_T_RECS), "record 'one': f: it names no record");
  refused ((struct hv_field) FIELD (.type = HV_T_RECS, .record = &et_leaf_record, .item_size = 8),
           "record 'one': f: its items have 8 bytes, their record 24");
  refused ((struct hv_field) FIELD (.type = HV_T_ENUM), "record 'one': f: it has no words");
  refused ((struct hv_field) FIELD (.type = HV_T_ENUM, .words = no_words), "record 'one': f: it has no words");
  refused ((struct hv_field) FIELD (.type = HV_T_ENUM, .words = twice), "record 'one': f: its word 'a' is there twice");
  refused ((struct hv_field) FIELD (.umin = 5, .max = 4), "record 'one': f: its minimum is above its maximum");
  refused ((struct hv_field) FIELD (.type = HV_T_I64, .min = 5, .max = 4), "record 'one': f: its minimum is above its maximum");
  refused ((struct hv_field) FIELD (.pattern = "phone"), "record 'one': f: pattern 'phone' is not known to this core");
  refused ((struct hv_field) FIELD (.type = HV_T_U32, .pattern = "uuid"), "record 'one': f: only text has a pattern");
  refused ((struct hv_field) FIELD (.flags = HV_REQUIRED | HV_IGNORED), "record 'one': f: it cannot be both required and ignored");
}

static void
test_bad_defaults (void **state)
{
  (void) state;
  refused ((struct hv_field) FIELD (.type = HV_T_BOOL, .def = "yes"), "record 'one': f: 'yes' is not a default of its type");
  refused ((struct hv_field) FIELD (.type = HV_T_U32, .def = "4294967296"),
           "record 'one': f: '4294967296' is not a default of its type");
  refused ((struct hv_field) FIELD (.type = HV_T_U32, .def = "-1"), "record 'one': f: '-1' is not a default of its type");
  refused ((struct hv_field) FIELD (.type = HV_T_U32, .def = ""), "record 'one': f: '' is not a default of its type");
  refused ((struct hv_field) FIELD (.type = HV_T_U64, .def = "18446744073709551616"),
           "record 'one': f: '18446744073709551616' is not a default of its type");
  refused ((struct hv_field) FIELD (.type = HV_T_I64, .def = "-9223372036854775809"),
           "record 'one': f: '-9223372036854775809' is not a default of its type");
  refused ((struct hv_field) FIELD (.type = HV_T_I64, .def = "-"), "record 'one': f: '-' is not a default of its type");
  refused ((struct hv_field) FIELD (.type = HV_T_F64, .def = "1.5x"), "record 'one': f: '1.5x' is not a default of its type");
  refused ((struct hv_field) FIELD (.type = HV_T_ENUM, .words = et_color_words, .def = "pink"),
           "record 'one': f: 'pink' is not a default of its type");
  refused ((struct hv_field) FIELD (.type = HV_T_MAP, .def = "{}"), "record 'one': f: '{}' is not a default of its type");
  refused ((struct hv_field) FIELD (.type = HV_T_FD, .def = "1"), "record 'one': f: '1' is not a default of its type");
  refused ((struct hv_field) FIELD (.flags = HV_REQUIRED, .def = "x"),
           "record 'one': f: a required field has no use for a default");
  refused ((struct hv_field) FIELD (.type = HV_T_U32, .def = "9", .max = 8), "record 'one': f: 9 is out of range (0 to 8)");
  refused ((struct hv_field) FIELD (.def = "Bad Name", .pattern = "name"),
           "record 'one': f: 'Bad Name' is not a name (small letters, digits and inner '-', at most 63)");
  refused ((struct hv_field) FIELD (.flags = HV_PATH, .def = "relative"), "record 'one': f: 'relative' is not an absolute path");
  refused ((struct hv_field) FIELD (.type = HV_T_I64, .def = "-9223372036854775808"), NULL);
  refused ((struct hv_field) FIELD (.type = HV_T_U64, .def = "18446744073709551615"), NULL);
  refused ((struct hv_field) FIELD (.type = HV_T_F64, .def = "1.5"), NULL);
  refused ((struct hv_field) FIELD (.type = HV_T_ENUM, .words = et_color_words, .def = "red"), NULL);
}

static void
test_whole_tables (void **state)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_error_new ();
  struct hv_field a = FIELD (.name = "same"), b = FIELD (.name = "same");
  const struct hv_field *const two[] = { &a, &b, NULL };
  struct hv_record rec = { sizeof rec, sizeof (struct one), "one", "doc", two };
  (void) state;
  assert_int_equal (hv_record_validate (&rec, err), HV_E_FAILED_PRECONDITION);
  assert_string_equal (hv_err_message (err), "record 'one': same: the name is there twice");
  rec.fields = NULL;
  assert_int_equal (hv_record_validate (&rec, err), HV_E_FAILED_PRECONDITION);
  rec.fields = two;
  rec.struct_size = 8;
  assert_int_equal (hv_record_validate (&rec, err), HV_E_FAILED_PRECONDITION);
  assert_string_equal (hv_err_message (err), "record 'one': a record without a name or fields");
}

static void
test_too_many_fields (void **state)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_error_new ();
  static struct hv_field fields[257];
  static char names[257][8];
  const struct hv_field *list[258] = { NULL };
  struct hv_record rec = { sizeof rec, sizeof (struct one), "one", "doc", list };
  (void) state;
  for (unsigned i = 0; i < 257; i++) {
    (void) snprintf (names[i], sizeof names[i], "f%u", i);
    fields[i] = (struct hv_field) FIELD (.name = names[i]);
    list[i] = &fields[i];
  }
  assert_int_equal (hv_record_validate (&rec, err), HV_E_FAILED_PRECONDITION);
  assert_string_equal (hv_err_message (err), "record 'one': more than 256 fields");
  list[256] = NULL;
  assert_int_equal (hv_record_validate (&rec, err), 0);
}

/* A list of itself: endless for whoever describes it, so it is refused; and a message may not go down forever either. */
static void
test_recursion (void **state)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_error_new ();
  struct hv_arena arena = { 0 };
  struct hv_decode how = { .arena = &arena };
  struct hv_field f = FIELD (.type = HV_T_RECS, .item_size = sizeof (struct one));
  const struct hv_field *const fields[] = { &f, NULL };
  struct hv_record rec = { sizeof rec, sizeof (struct one), "one", "doc", fields };
  uint8_t bytes[4 * 20], *b = bytes;
  struct one out = { .has = 0 };
  (void) state;
  f.record = &rec;
  assert_int_equal (hv_record_validate (&rec, err), HV_E_FAILED_PRECONDITION);
  assert_non_null (strstr (hv_err_message (err), "records are nested deeper than 16"));
  for (int i = 0; i < 20; i++, b += 4)
    memcpy (b,
            "\x81\xa1"
            "f\x91",
            4);
  assert_int_equal (hv_record_decode (&rec, (struct hv_bin){ bytes, sizeof bytes }, &how, &out, err), HV_E_INVALID_ARGUMENT);
  assert_non_null (strstr (hv_err_message (err), "records are nested deeper than 16"));
  hv_arena_free (&arena);
}

/* --- tables that were built when struct hv_field ended earlier --- */

struct old_args {
  const char *name;
  uint32_t times;
  struct {
    uint8_t name, times;
  } has;
};

/* The entry ends right after what comes later in memory, so reading beyond struct_size is seen by the sanitizer. */
static struct hv_field *
cut_field (struct hv_field f, size_t size)
{
  struct hv_field *cut = malloc (size);
  assert_non_null (cut);
  f.struct_size = (uint32_t) size;
  memcpy (cut, &f, size);
  return cut;
}

static void
shorter_table (size_t size, int has_limits)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_error_new ();
  struct hv_field *name = cut_field ((struct hv_field){ .type = HV_T_STR,
                                                        .flags = HV_REQUIRED,
                                                        .offset = offsetof (struct old_args, name),
                                                        .has_offset = offsetof (struct old_args, has.name),
                                                        .name = "name",
                                                        .doc = "who",
                                                        .max = 4 },
                                     size);
  struct hv_field *times = cut_field ((struct hv_field){ .type = HV_T_U32,
                                                         .offset = offsetof (struct old_args, times),
                                                         .has_offset = offsetof (struct old_args, has.times),
                                                         .name = "times",
                                                         .doc = "how often",
                                                         .def = "3" },
                                      size);
  const struct hv_field *const fields[] = { name, times, NULL };
  struct hv_record rec = { sizeof rec, sizeof (struct old_args), "old_args", "doc", fields };
  struct hv_arena arena = { 0 };
  struct hv_decode how = { .arena = &arena };
  struct old_args args = { .name = NULL };
  HV_CLEAN (hv_pack) struct hv_pack p = { 0 }, again = { 0 }, doc = { 0 };
  assert_int_equal (hv_record_validate (&rec, err), 0);
  assert_int_equal (hv_json_to_pack ("{\"name\":\"longer\"}", 17, &p, err), 0);
  int r = hv_record_decode (&rec, (struct hv_bin){ p.data, p.size }, &how, &args, err);
  assert_int_equal (r, has_limits ? HV_E_INVALID_ARGUMENT : 0);
  if (r == 0) {
    assert_string_equal (args.name, "longer");
    assert_true (args.has.name && !args.has.times);
    assert_int_equal (args.times, size > offsetof (struct hv_field, def) ? 3 : 0);
    assert_int_equal (hv_record_encode (&rec, &args, &again, err), 0);
    assert_int_equal (again.size, p.size);
    assert_memory_equal (again.data, p.data, p.size);
  }
  hv_record_describe (&rec, &doc);
  assert_int_equal (hv_fence_check ((struct hv_bin){ doc.data, doc.size }, 1 << 20, err), 0);
  hv_arena_free (&arena);
  free (name);
  free (times);
}

static void
test_shorter_tables (void **state)
{
  (void) state;
  shorter_table (offsetof (struct hv_field, unit), 0);
  shorter_table (offsetof (struct hv_field, min), 0);
  shorter_table (offsetof (struct hv_field, record), 1);
  shorter_table (offsetof (struct hv_field, since), 1);
  shorter_table (sizeof (struct hv_field), 1);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_interfaces_are_well_formed),
    cmocka_unit_test (test_bad_fields),
    cmocka_unit_test (test_bad_defaults),
    cmocka_unit_test (test_whole_tables),
    cmocka_unit_test (test_too_many_fields),
    cmocka_unit_test (test_recursion),
    cmocka_unit_test (test_shorter_tables),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
