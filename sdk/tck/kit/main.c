/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hvkit-tck: is this plugin a provider of the interface it names? */
#include "sdk/tck/kit/kit.h"
#include <errno.h>
#include <fnmatch.h>
#include <ftw.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char usage[]
    = "usage: hvkit-tck hypervisor PLUGIN.so [options]\n"
      "Runs the conformance checks of hypervisor/1 against a plugin. Exit status: 0 nothing failed, 1 something did, 2 usage.\n\n"
      "  --config JSON|@FILE    the plugin's configuration, as in its manifest\n"
      "  --other-config JSON|@FILE  configuration of the second instance, in checks that need one. Default: that of the first\n"
      "  --machine JSON|@FILE   a machine (as define takes it) to make VMs from; name and uuid are the kit's. Default: 64 MiB, no "
      "disk\n"
      "  --only GLOB            only checks whose id matches; may be repeated\n"
      "  --list                 print the checks and run none\n"
      "  -o text|json           what to print\n"
      "  --dir DIR              state and run directories are made here and stay; default: temporary ones\n"
      "  --slack-ms N           how late an answer may be that is due at once (1000)\n"
      "  --settle-ms N          how long a machine may take to start or to end (30000)\n"
      "  --check-ms N           how long one check may take (120000)\n";

#define GLOBS_MAX 64

struct command {
  struct tck_options options;
  const struct tck_suite *suite;
  const char *globs[GLOBS_MAX];
  uint32_t glob_count;
  int list, json;
  char *config, *other_config, *dir, *plugin;
};

static void __attribute__ ((noreturn, format (printf, 1, 2))) refuse (const char *fmt, ...)
{
  va_list ap;
  va_start (ap, fmt);
  (void) fputs ("hvkit-tck: ", stderr);
  (void) vfprintf (stderr, fmt, ap);
  (void) fputc ('\n', stderr);
  va_end (ap);
  exit (2);
}

/* JSON itself, or @FILE that has it. */
static json_t *
json_argument (const char *option, const char *text)
{
  json_error_t e;
  json_t *j
      = text[0] == '@' ? json_load_file (text + 1, JSON_REJECT_DUPLICATES, &e) : json_loads (text, JSON_REJECT_DUPLICATES, &e);
  if (!json_is_object (j))
    refuse ("%s: a JSON object is wanted%s%s", option, j == NULL ? ": " : "", j == NULL ? e.text : "");
  return j;
}

static uint64_t
number_argument (const char *option, const char *text)
{
  char *end;
  errno = 0;
  unsigned long long n = strtoull (text, &end, 10);
  if (errno != 0 || *end != '\0' || end == text || n == 0 || n > 3600000)
    refuse ("%s: milliseconds from 1 to 3600000 are wanted, not '%s'", option, text);
  return n;
}

static void
option (struct command *c, int which, const char *name, const char *value)
{
  json_t *j;
  switch (which) {
  case 'c':
    j = json_argument (name, value);
    c->options.config = c->config = json_dumps (j, JSON_COMPACT);
    json_decref (j);
    break;
  case 'C':
    j = json_argument (name, value);
    c->options.other_config = c->other_config = json_dumps (j, JSON_COMPACT);
    json_decref (j);
    break;
  case 'm':
    c->options.machine = json_argument (name, value);
    break;
  case 'g':
    if (c->glob_count == GLOBS_MAX)
      refuse ("--only: %d at most", GLOBS_MAX);
    c->globs[c->glob_count++] = value;
    break;
  case 'l':
    c->list = 1;
    break;
  case 'o':
    if (strcmp (value, "json") != 0 && strcmp (value, "text") != 0)
      refuse ("-o: text or json is wanted, not '%s'", value);
    c->json = strcmp (value, "json") == 0;
    break;
  case 'd':
    c->options.dir = value;
    break;
  case 's':
    c->options.slack_ms = number_argument (name, value);
    break;
  case 'e':
    c->options.settle_ms = number_argument (name, value);
    break;
  case 't':
    c->options.check_ms = number_argument (name, value);
    break;
  case 'h':
    (void) fputs (usage, stdout);
    exit (0);
  default:
    (void) fputs (usage, stderr);
    exit (2);
  }
}

static void
arguments (struct command *c, int argc, char **argv)
{
  static const struct option options[]
      = { { "config", 1, NULL, 'c' },       { "machine", 1, NULL, 'm' },   { "only", 1, NULL, 'g' },
          { "list", 0, NULL, 'l' },         { "output", 1, NULL, 'o' },    { "dir", 1, NULL, 'd' },
          { "slack-ms", 1, NULL, 's' },     { "settle-ms", 1, NULL, 'e' }, { "check-ms", 1, NULL, 't' },
          { "other-config", 1, NULL, 'C' }, { "help", 0, NULL, 'h' },      { NULL, 0, NULL, 0 } };
  int which, at = 0;
  *c = (struct command){ .suite = &tck_hypervisor, .options = { .slack_ms = 1000, .settle_ms = 30000, .check_ms = 120000 } };
  while ((which = getopt_long (argc, argv, "o:h", options, &at)) != -1)
    option (c, which, which == 'o' ? "-o" : options[at].name, optarg);
  if (optind >= argc || strcmp (argv[optind], c->suite->name) != 0)
    refuse ("the interface is wanted first: hypervisor (see --help)");
  if (!c->list && optind + 2 != argc)
    refuse ("one plugin is wanted: hvkit-tck hypervisor PLUGIN.so (see --help)");
  if (!c->list && (c->options.plugin_path = c->plugin = realpath (argv[optind + 1], NULL)) == NULL)
    refuse ("'%s': %s", argv[optind + 1], strerror (errno));
}

static int
wanted (const struct command *c, const struct tck_check *check)
{
  for (uint32_t i = 0; i < c->glob_count; i++)
    if (fnmatch (c->globs[i], check->id, 0) == 0)
      return 1;
  return c->glob_count == 0;
}

static int
remove_entry (const char *path, const struct stat *st, int type, struct FTW *ftw)
{
  (void) st;
  (void) type;
  (void) ftw;
  return remove (path);
}

static void
make_dir (struct command *c)
{
  if (c->options.dir != NULL) {
    if (mkdir (c->options.dir, 0755) < 0 && errno != EEXIST)
      refuse ("'%s': %s", c->options.dir, strerror (errno));
    return;
  }
  c->dir = strdup ("/tmp/hvkit-tck-XXXXXX");
  if (c->dir == NULL || mkdtemp (c->dir) == NULL || chmod (c->dir, 0755) < 0)
    refuse ("temporary directory: %s", strerror (errno));
  c->options.dir = c->dir;
}

static void
run (const struct command *c, struct tck_report *report)
{
  for (const struct tck_check *const *g = c->suite->groups; *g != NULL; g++)
    for (const struct tck_check *check = *g; check->id != NULL; check++) {
      struct tck_result result;
      if (!wanted (c, check))
        continue;
      if (c->list) {
        printf ("%-28s %s\n", check->id, check->rule);
        report->counts[TCK_PASS]++;
        continue;
      }
      tck_run_check (c->suite, check, &c->options, &result);
      tck_report_row (report, &result);
      int useless = result.outcome == TCK_FAIL && strcmp (check->id, TCK_LOAD) == 0;
      tck_result_clear (&result);
      if (useless)
        return;
    }
}

int
main (int argc, char **argv)
{
  struct command c;
  arguments (&c, argc, argv);
  (void) signal (SIGPIPE, SIG_IGN);
  struct tck_report report = { .json = c.json, .colour = !c.json && isatty (1) };
  if (!c.list) {
    tck_adopt_orphans ();
    make_dir (&c);
  }
  run (&c, &report);
  if (report.counts[0] + report.counts[1] + report.counts[2] == 0)
    refuse ("no check has such an id; --list prints them");
  tck_end_orphans ();
  if (!c.list)
    tck_report_end (&report, c.suite->name, &c.options);
  if (c.dir != NULL)
    (void) nftw (c.dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  json_decref (c.options.machine);
  free (c.config);
  free (c.other_config);
  free (c.dir);
  free (c.plugin);
  return report.counts[TCK_FAIL] > 0 ? 1 : 0;
}
