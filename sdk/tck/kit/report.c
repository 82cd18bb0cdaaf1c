/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What came of the checks: lines for people as they come, or one JSON object at the end. */
#include "sdk/tck/kit/kit.h"
#include <stdio.h>
#include <string.h>

static void
indented (const char *mark, const char *text)
{
  while (text != NULL && *text != '\0') {
    size_t n = strcspn (text, "\n");
    printf ("      %s%.*s\n", mark, (int) n, text);
    text += n + (text[n] == '\n');
  }
}

static void
row_text (const struct tck_report *r, const struct tck_result *c)
{
  static const char *const colours[] = { "\033[32m", "\033[31m", "\033[2m" };
  printf ("%s%-4s%s  %-28s %5llu ms  %s\n", r->colour ? colours[c->outcome] : "", tck_outcome_words[c->outcome],
          r->colour ? "\033[0m" : "", c->check->id, (unsigned long long) c->ms, c->check->rule);
  indented ("", c->text);
  if (c->outcome == TCK_FAIL)
    indented ("| ", c->log);
  (void) fflush (stdout);
}

void
tck_report_row (struct tck_report *r, const struct tck_result *c)
{
  r->counts[c->outcome]++;
  if (!r->json) {
    row_text (r, c);
    return;
  }
  json_t *row = json_pack ("{s:s,s:s,s:s,s:I}", "id", c->check->id, "rule", c->check->rule, "outcome",
                           tck_outcome_words[c->outcome], "ms", (json_int_t) c->ms);
  if (c->text != NULL)
    (void) json_object_set_new (row, "text", json_string (c->text));
  if (c->log != NULL)
    (void) json_object_set_new (row, "log", json_string (c->log));
  if (r->rows == NULL)
    r->rows = json_array ();
  (void) json_array_append_new (r->rows, row);
}

void
tck_report_end (struct tck_report *r, const char *suite, const struct tck_options *o)
{
  if (!r->json) {
    printf ("%s/1, %s: %u passed, %u failed, %u not applicable\n", suite, o->plugin_path, r->counts[TCK_PASS], r->counts[TCK_FAIL],
            r->counts[TCK_NA]);
    return;
  }
  json_t *all = json_pack ("{s:s,s:s,s:i,s:i,s:i,s:o}", "suite", suite, "plugin", o->plugin_path, "passed",
                           (int) r->counts[TCK_PASS], "failed", (int) r->counts[TCK_FAIL], "not_applicable",
                           (int) r->counts[TCK_NA], "checks", r->rows != NULL ? r->rows : json_array ());
  (void) json_dumpf (all, stdout, JSON_INDENT (2));
  (void) fputc ('\n', stdout);
  json_decref (all);
}
