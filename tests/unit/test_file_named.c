/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tests of hvkit/file.h where the file system cannot make files without a name: the flag is what a kernel that has never heard
 * of O_TMPFILE makes of it, and its answer is the real one. */
#include <fcntl.h>
#undef O_TMPFILE
#define O_TMPFILE                (O_DIRECTORY | O_CREAT)
#define HV_TEST_LEAVES_TEMPORARY 1
/* in this order */
#include "sdk/src/plugin/file.c"
/* and then */
#include "tests/unit/test_file.c"
