/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Long work on stderr: a bar on a terminal, a line per ten percent with --progress=plain, else nothing. */
#include "cli.h"
#include <inttypes.h>
#include <string.h>
#include <time.h>

#define BAR_CELLS 30u /* at most */
#define BAR_LEAST 8u
#define BAR_TEXT  48u /* columns that figures, rate and remaining time may take */
#define REDRAW_MS 100u

struct hv_progress {
  int bar;
  uint64_t start_ms, start_done, drawn_ms;
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
  int bar = app->opt.progress == HV_PROGRESS_AUTO && hv_term.err_tty;
  if (!bar && app->opt.progress != HV_PROGRESS_PLAIN)
    return NULL;
  struct hv_progress *p = calloc (1, sizeof *p);
  if (p != NULL)
    p->bar = bar;
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

static void
print_plain (struct hv_progress *p, const struct hv_client_progress *g)
{
  uint32_t tenth = per_mille (g) / 100;
  if (tenth <= p->tenth)
    return;
  p->tenth = tenth;
  const char *phase = hv_term_safe (&p->arena, g->phase, strlen (g->phase));
  fprintf (stderr, "%s%s%u%% %s of %s%s%s\n", phase, *phase != '\0' ? ": " : "", tenth * 10, amount (p, g, g->done),
           amount (p, g, g->total), in_bytes (g) || *g->unit == '\0' ? "" : " ",
           in_bytes (g) ? "" : hv_term_safe (&p->arena, g->unit, strlen (g->unit)));
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
  const char *unit = in_bytes (g) || *g->unit == '\0'
                         ? ""
                         : hv_node_printf (&p->arena, " %s", hv_term_safe (&p->arena, g->unit, strlen (g->unit)));
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
