/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Long work on stderr: a bar on a terminal, else a line per ten percent once it has lasted a while (with --progress=plain at once).
 */
#include "cli.h"
#include <inttypes.h>
#include <string.h>
#include <time.h>

#define BAR_CELLS 30u /* at most */
#define BAR_LEAST 8u
#define BAR_TEXT  48u /* columns that figures, rate and remaining time may take */
#define REDRAW_MS 100u
#define QUIET_MS  1000u /* what is done by then needs no lines in a log */
#define LINE_MS   5000u /* between lines about work whose size is not known */

struct hv_progress {
  int bar;
  uint64_t quiet_until_ms, start_ms, start_done, drawn_ms;
  uint32_t tenth; /* last tenth that was printed */
  char phase[80];
  struct hv_arena arena; /* of one drawing */
};

static uint64_t
now_ms (void)
{
  struct timespec ts;
  clock_gettime (CLOCK_MONOTONIC, &ts);
  return (uint64_t) ts.tv_sec * 1000u + (uint64_t) ts.tv_nsec / 1000000u;
}

struct hv_progress *
hv_progress_new (struct hv_app *app)
{
  struct hv_progress *p = app->opt.progress != HV_PROGRESS_NONE ? calloc (1, sizeof *p) : NULL;
  if (p == NULL)
    return NULL;
  p->bar = app->opt.progress == HV_PROGRESS_AUTO && hv_term.err_tty;
  if (app->opt.progress == HV_PROGRESS_AUTO)
    p->quiet_until_ms = now_ms () + QUIET_MS;
  return p;
}

static int
in_bytes (const struct hv_client_progress *g)
{
  return strcmp (g->unit, "bytes") == 0;
}

static char *
amount (struct hv_progress *p, const struct hv_client_progress *g, uint64_t n)
{
  return in_bytes (g) ? hv_node_printf (&p->arena, "%sB", hv_format_bytes (&p->arena, n))
                      : hv_node_printf (&p->arena, "%" PRIu64, n);
}

static uint32_t
per_mille (const struct hv_client_progress *g)
{
  if (g->total == 0 || g->done >= g->total)
    return g->total == 0 ? 0 : 1000;
  return (uint32_t) ((double) g->done / (double) g->total * 1000);
}

/* A new phase is new work: its rate and remaining time start afresh. */
static void
note_phase (struct hv_progress *p, const struct hv_client_progress *g)
{
  if (p->start_ms != 0 && strcmp (p->phase, g->phase) == 0)
    return;
  (void) snprintf (p->phase, sizeof p->phase, "%s", g->phase);
  p->start_ms = now_ms ();
  p->start_done = g->done;
  p->tenth = 0;
  p->drawn_ms = 0;
}

/* " chunks"; bytes have it in their amount already */
static const char *
unit_text (struct hv_progress *p, const struct hv_client_progress *g)
{
  if (in_bytes (g) || *g->unit == '\0')
    return "";
  return hv_node_printf (&p->arena, " %s", hv_term_safe (&p->arena, g->unit, strlen (g->unit)));
}

static void
print_plain (struct hv_progress *p, const struct hv_client_progress *g)
{
  uint32_t tenth = per_mille (g) / 100;
  uint64_t now = now_ms ();
  if (now < p->quiet_until_ms || (g->total > 0 && tenth <= p->tenth)
      || (g->total == 0 && p->drawn_ms != 0 && now - p->drawn_ms < LINE_MS))
    return;
  p->tenth = tenth;
  p->drawn_ms = now;
  const char *phase = hv_term_safe (&p->arena, g->phase, strlen (g->phase)), *unit = unit_text (p, g);
  fprintf (stderr, "%s%s", phase, *phase != '\0' ? ": " : "");
  if (g->total > 0)
    fprintf (stderr, "%u%% %s of %s%s\n", tenth * 10, amount (p, g, g->done), amount (p, g, g->total), unit);
  else
    fprintf (stderr, "%s%s\n", amount (p, g, g->done), unit);
}

/* What the line has left beside its text; 0: too little for a bar. */
static uint32_t
bar_cells (uint32_t phase_width)
{
  uint32_t columns = hv_term_columns (), text = phase_width + 2 + BAR_TEXT;
  if (columns < text + BAR_LEAST)
    return 0;
  return columns - text < BAR_CELLS ? columns - text : BAR_CELLS;
}

static void
draw_cells (uint32_t filled, uint32_t cells)
{
  const char *full = hv_term.utf8 ? "━" : "#", *empty = hv_term.utf8 ? "━" : "-";
  fputs (hv_term_on (stderr, HV_CYAN), stderr);
  for (uint32_t i = 0; i < filled; i++)
    fputs (full, stderr);
  fputs (hv_term_off (stderr, HV_CYAN), stderr);
  fputs (hv_term_on (stderr, HV_DIM), stderr);
  for (uint32_t i = filled; i < cells; i++)
    fputs (hv_term.err_color ? empty : hv_term.utf8 ? " " : "-", stderr);
  fputs (hv_term_off (stderr, HV_DIM), stderr);
}

/* "  12MiB/s  ETA 8s", as far as it is known. */
static const char *
speed (struct hv_progress *p, const struct hv_client_progress *g)
{
  uint64_t ms = now_ms () - p->start_ms, moved = g->done > p->start_done ? g->done - p->start_done : 0;
  if (ms < 500 || moved == 0)
    return "";
  uint64_t rate = (uint64_t) ((double) moved * 1000 / (double) ms);
  const char *text = hv_node_printf (&p->arena, "  %s/s", amount (p, g, rate));
  if (rate > 0 && g->total > g->done)
    text = hv_node_printf (&p->arena, "%s  ETA %s", text, hv_format_ms (&p->arena, ((g->total - g->done) / rate + 1) * 1000));
  return text;
}

static void
draw_bar (struct hv_progress *p, const struct hv_client_progress *g)
{
  uint32_t m = per_mille (g);
  uint64_t now = now_ms ();
  if (p->drawn_ms != 0 && now - p->drawn_ms < REDRAW_MS && m < 1000)
    return;
  p->drawn_ms = now;
  const char *unit = unit_text (p, g);
  const char *phase = hv_term_safe (&p->arena, g->phase, strlen (g->phase));
  fprintf (stderr, "\r\033[K%s%s", phase, *phase != '\0' ? "  " : "");
  uint32_t cells = bar_cells (hv_term_width (phase));
  if (g->total > 0 && cells > 0)
    draw_cells ((uint32_t) ((uint64_t) m * cells / 1000), cells);
  if (g->total > 0)
    fprintf (stderr, " %3u%%  %s/%s%s%s", m / 10, amount (p, g, g->done), amount (p, g, g->total), unit, speed (p, g));
  else
    fprintf (stderr, "%s%s%s", amount (p, g, g->done), unit, speed (p, g));
  (void) fflush (stderr);
}

void
hv_progress_update (void *arg, const struct hv_client_progress *g)
{
  struct hv_progress *p = arg;
  note_phase (p, g);
  if (p->bar)
    draw_bar (p, g);
  else
    print_plain (p, g);
  hv_arena_free (&p->arena);
}

void
hv_progress_end (struct hv_progress *p)
{
  if (p == NULL)
    return;
  if (p->bar && p->start_ms != 0)
    fputs ("\r\033[K", stderr);
  free (p);
}
