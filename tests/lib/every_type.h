/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A record with a field of every type and flag, for the tests and fuzz targets of core/schema. Include it in one file. */
#ifndef HV_TESTS_EVERY_TYPE_H
#define HV_TESTS_EVERY_TYPE_H
#include "core/schema/schema.h"

static const char *const et_color_words[] = { "red", "green", "blue", NULL };

#define ET_LEAF(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "its name", .pattern = "name") \
  F (T, U64, _, size_bytes, 0, "its size", .unit = "bytes", .def = "512", .umin = 512, .max = 1048576) \
  F (T, ENUM, et_color, color, 0, "its color", .def = "green")
HV_RECORD_STRUCT (et_leaf, ET_LEAF);
HV_RECORD_TABLE (et_leaf, ET_LEAF, "a leaf");

#define ET_BRANCH(F, T) \
  F (T, BOOL, _, on, 0, "whether", .def = "true") \
  F (T, U32, _, cores, 0, "how many", .def = "1", .umin = 1, .max = 512) \
  F (T, RECS, et_leaf, leaves, 0, "leaves", .max = 3)
HV_RECORD_STRUCT (et_branch, ET_BRANCH);
HV_RECORD_TABLE (et_branch, ET_BRANCH, "a branch");

#define ET_TREE(F, T) \
  F (T, BOOL, _, flag, 0, "a boolean") \
  F (T, I64, _, number, 0, "a signed number", .min = -5, .max = 10, .def = "-3") \
  F (T, I64, _, offset, 0, "a signed number without limits") \
  F (T, U32, _, count, 0, "a small number") \
  F (T, U64, _, size, 0, "a large number", .umin = 2) \
  F (T, F64, _, ratio, 0, "a fraction", .max = 100, .def = "0.5") \
  F (T, STR, _, text, 0, "some text", .umin = 2, .max = 8) \
  F (T, STR, _, path, HV_PATH, "a path") \
  F (T, STR, _, quantity, HV_SCALAR, "a quantity") \
  F (T, STR, _, uuid, HV_SECRET, "a secret", .pattern = "uuid") \
  F (T, STR, _, mac, 0, "an address", .pattern = "mac") \
  F (T, STR, _, domain, HV_NULLABLE | HV_DEPRECATED, "a domain", .pattern = "subdomain", .def = "a.example", .since = "1.1") \
  F (T, BIN, _, bytes, HV_FILE, "bytes", .max = 16) \
  F (T, ENUM, et_color, color, 0, "a word", .def = "blue") \
  F (T, REC, et_branch, branch, 0, "a record") \
  F (T, REC, et_leaf, leaf, HV_NULLABLE, "a record that may be nil") \
  F (T, RECS, et_branch, branches, 0, "records") \
  F (T, STRS, _, words, 0, "texts", .umin = 1, .max = 4) \
  F (T, STRS, _, paths, HV_PATH, "paths") \
  F (T, MAP, _, labels, 0, "texts by name", .max = 3) \
  F (T, MAP, _, limits, HV_SCALAR, "scalars by name") \
  F (T, ANY, _, any, 0, "anything") \
  F (T, FD, _, file, 0, "a descriptor") \
  F (T, STR, _, server, HV_IGNORED, "not ours")
HV_RECORD_STRUCT (et_tree, ET_TREE);
HV_RECORD_TABLE (et_tree, ET_TREE, "every type");
#endif
