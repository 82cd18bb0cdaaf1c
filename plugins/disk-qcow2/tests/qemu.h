/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* QEMU's own tools, to compare with. Misuse and failing system calls end the test. */
#ifndef HV_QCOW2_TESTS_QEMU_H
#define HV_QCOW2_TESTS_QEMU_H
#include <jansson.h>

/* Runs a program without a shell and returns its exit code; its standard output is added to *ret_output (malloc'd text) if that is
 * not NULL. The arguments end with NULL. */
int hv_test_run (char **ret_output, const char *const *argv);
#define RUN(...) hv_test_run (NULL, (const char *const[]){ __VA_ARGS__, NULL })

/* The answer as JSON; NULL if the program gave none. */
json_t *hv_test_run_json (int *ret_code, const char *const *argv);
#define RUN_JSON(ret_code, ...) hv_test_run_json ((ret_code), (const char *const[]){ __VA_ARGS__, NULL })

/* A temporary directory, and removing it with what is in it (one level). */
char *hv_test_dir (void);
void hv_test_dir_remove (char *dir);
#endif
