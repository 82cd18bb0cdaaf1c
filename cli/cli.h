/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hvkit, the command line. It knows the daemon's description of itself (bus.describe) and nothing else: every command that
 * is not in builtin.c is made from a method's tables at run time. One thread; memory lives in arenas. */
#ifndef HV_CLI_CLI_H
#define HV_CLI_CLI_H
#include "node.h"
#include <hvkit/client.h>

/* exit status */
#define HV_EXIT_DONE        0
#define HV_EXIT_FAILED      1
#define HV_EXIT_USAGE       2
#define HV_EXIT_UNREACHABLE 3
#define HV_EXIT_INTERRUPTED 130

/* --- the description --- */

struct hv_model_record;
struct hv_model_field {
  const char *name, *dashed; /* "grace_ms" and, for people, "grace-ms" */
  const char *type, *unit, *doc, *since, *def;
  const struct hv_node *min, *max; /* NULL: none */
  const char *const *words;        /* of an enum; NULL-terminated, never NULL */
  const struct hv_model_record *record;
  uint8_t required, file, path, secret, deprecated, ignored, stream;
};
struct hv_model_record {
  const char *name, *doc;
  uint32_t count;
  const struct hv_model_field *fields;
};

struct hv_app;
struct hv_model_instance;
typedef int hv_builtin_fn (struct hv_app *, struct hv_node *args);

struct hv_model_method {
  const char *name, *verb, *doc, *since, *access, *lane, *key;
  uint64_t timeout_ms;
  uint8_t read, hidden, progress;
  const struct hv_model_record *args, *result;            /* never NULL */
  const char *words, *positional, *columns, *wide, *list; /* of `cli`; NULL: absent */
  const char *done, *watch, *shorts;
  const char *stream;                       /* the field of the result that is a byte stream's token; NULL: none */
  const char *binary;                       /* the one field of the result that is binary and always there; NULL: none */
  uint8_t terminal;                         /* the stream is for a person's terminal */
  uint8_t text;                             /* the stream is text to be read */
  const struct hv_model_instance *instance; /* NULL: built in */
  hv_builtin_fn *builtin;
};
struct hv_model_event {
  const char *topic, *doc;
  const struct hv_model_record *data;
};
struct hv_model_instance {
  const char *name, *plugin, *version, *summary, *state;
  const char *provides; /* "hypervisor/1, …" */
  uint32_t method_count, event_count;
  const struct hv_model_method *methods;
  const struct hv_model_event *events;
};
struct hv_model {
  const struct hv_node *raw;
  uint32_t instance_count;
  const struct hv_model_instance *instances;
};
const struct hv_model *hv_model_build (struct hv_arena *, const struct hv_node *describe);
const struct hv_model_instance *hv_model_find_instance (const struct hv_model *, const char *name);
const struct hv_model_method *hv_model_find_method (const struct hv_model *, const char *name);
const struct hv_model_field *hv_model_find_field (const struct hv_model_record *, const char *name,
                                                  uint64_t n); /* '-' counts as '_' */

/* --- the program --- */

enum hv_output { HV_OUTPUT_TABLE, HV_OUTPUT_WIDE, HV_OUTPUT_JSON, HV_OUTPUT_YAML };
enum hv_progress_mode { HV_PROGRESS_AUTO, HV_PROGRESS_PLAIN, HV_PROGRESS_NONE };

struct hv_options {
  const char *socket, *namespace_;
  const char *file, *proxy; /* where binary data goes; where programs connect to a stream */
  enum hv_output output;
  enum hv_progress_mode progress;
  uint64_t timeout_ms;
  uint8_t output_given, watch, help;
};

struct hv_app {
  struct hv_arena arena; /* of the whole run */
  struct hv_client *client;
  struct hv_err *err;
  const struct hv_model *model; /* empty while no daemon was reached */
  const char *socket;
  struct hv_options opt;
};

/* main.c: connects and describes once. 0 or an exit status, with the message printed. */
int hv_app_connect (struct hv_app *);

/* --- commands --- */

/* What the words of a command line mean. */
struct hv_command {
  const struct hv_model_method *method; /* NULL: only a group so far */
  const struct hv_model_instance *group_instance;
  const char *words; /* as typed, for messages: "get vmi" */
  uint32_t used;     /* how many words it took */
};
/* Finds the longest match. *ret_words is the nearest known word on a miss. Returns 1: a method, 0: a group ("get", "qmp"), -1:
 * none. */
int hv_command_find (struct hv_app *, const char *const *words, uint32_t n, struct hv_command *ret);
const char *hv_command_next_words (struct hv_app *, const char *const *typed, uint32_t n); /* "boat, boats" */
const char *hv_command_nearest (struct hv_app *, const char *word);
/* Calls fn for every way to write a method: alternatives of `words`, or "INSTANCE VERB". */
typedef void hv_command_fn (void *arg, const struct hv_model_method *, const char *words, uint64_t n);
void hv_command_each (struct hv_app *, hv_command_fn *, void *arg);
uint32_t hv_command_is_prefix (const char *words, uint64_t n, const char *const *typed,
                               uint32_t typed_n); /* typed words that match from the start */

/* args.c: the rest of the command line into arguments and options. 0 or HV_EXIT_USAGE, with the message printed. */
struct hv_args {
  int argc;
  char **argv;
};
int hv_args_global (struct hv_app *, const struct hv_args *,
                    int *at); /* 1: took a global option and moved on, 0: it is none, -1: usage */
int hv_args_parse (struct hv_app *, const struct hv_command *, const struct hv_args *, struct hv_node *ret_map);
/* Sets "size", "machine.cpu.cores" or "labels.app" from text (json: the text is JSON). 1 set, 0 no such field, -1 *ret_why says
 * what is wrong. */
int hv_args_set (struct hv_app *, const struct hv_model_record *, struct hv_node *map, const char *path, uint64_t n,
                 const char *text, int json, const char **ret_why);
/* One word of `positional`: its field's name, and whether it may be left out. NULL at the end; returns where to go on. */
const char *hv_args_positional (const char *at, const char **ret_name, uint64_t *ret_size, int *ret_optional);
char hv_args_short_of (const struct hv_model_method *, const char *field);          /* 0: none */
const char *hv_args_placeholder (struct hv_arena *, const struct hv_model_field *); /* a positional's: "NAME" */
/* The options that every command has. */
#define HV_GLOBAL_COUNT 10u
extern const struct hv_model_field hv_args_globals[HV_GLOBAL_COUNT];
const struct hv_model_field *hv_args_global_field (const char *name);
/* Whether a global option means something to a method (NULL: to any). */
int hv_args_global_applies (const struct hv_model_field *global, const struct hv_model_method *);
extern const char hv_args_global_letters[HV_GLOBAL_COUNT]; /* 0: none */

/* value.c: one value as typed → a node. NULL and *ret_why (in the arena) if it does not fit. */
struct hv_node *hv_value_parse (struct hv_app *, const struct hv_model_field *, const char *text, const char **ret_why);
struct hv_node *hv_value_json (struct hv_app *, const char *text, const char **ret_why);
struct hv_node *hv_value_file (struct hv_app *, const struct hv_model_field *, const char *path, const char **ret_why);
int hv_value_duration (const char *text, uint64_t *ret_ms); /* "90s", "5m", "1500" (ms); 0 if it is none */
const char *hv_value_placeholder (struct hv_arena *, const struct hv_model_field *);

/* --- running --- */

/* Calls a method, drawing progress and passing Ctrl-C on as bus.cancel. Returns 0 and the result (in `arena`), or a negative
 * HV_E_* with app->err set; HV_E_CANCELLED with hv_run_interrupted() after Ctrl-C. */
int hv_run_call (struct hv_app *, const char *method, const struct hv_node *args, int progress, struct hv_arena *,
                 struct hv_node **ret);
int hv_run_interrupted (void);
void hv_run_catch_interrupt (void); /* from now on Ctrl-C only sets the flag */
int hv_run_wait (struct hv_app *,
                 struct hv_err *); /* one round of the connection; 0 or HV_E_UNAVAILABLE; returns early on Ctrl-C */
struct pollfd;
int hv_run_poll (struct pollfd *, uint32_t n);                                 /* waits for ever; negative: a signal came */
int hv_run_subscribe (struct hv_app *, const struct hv_client_subscription *); /* events.c; 0 or HV_E_* with app->err set */
int hv_run_report (struct hv_app *, int code);                                 /* prints app->err; returns the exit status */
int hv_run_method (struct hv_app *, const struct hv_model_method *, struct hv_node *args); /* call, page, print; an exit status */
int hv_run_pages (struct hv_app *, const struct hv_model_method *, struct hv_node *args, struct hv_arena *, struct hv_node **ret);
const char *hv_run_list_field (const struct hv_model_method *, const struct hv_node *result); /* NULL: the result is one row */

int hv_stream_run (struct hv_app *, const struct hv_model_method *, struct hv_node *args); /* stream.c */
int hv_proxy_run (struct hv_app *, const struct hv_model_method *, const struct hv_node *args);
int hv_binary_run (struct hv_app *, const struct hv_model_method *, struct hv_node *args); /* binary.c */
int hv_watch_run (struct hv_app *, const struct hv_model_method *, struct hv_node *args);
int hv_builtin_events (struct hv_app *, struct hv_node *args);
int hv_freezer_run (struct hv_app *, int argc, char **argv); /* freezer.c: called virt-freezer */
int hv_builtin_run (struct hv_app *, struct hv_node *args);  /* foreground.c */
int hv_builtin_api (struct hv_app *, struct hv_node *args);
int hv_builtin_completion (struct hv_app *, struct hv_node *args);
int hv_complete_run (struct hv_app *, int argc, char **argv); /* hvkit __complete -- words… */
extern const struct hv_model_method hv_builtins[];
extern const uint32_t hv_builtin_count;

/* progress.c */
struct hv_progress;
struct hv_progress *hv_progress_new (struct hv_app *);
void hv_progress_update (void *progress, const struct hv_client_progress *);
void hv_progress_end (struct hv_progress *); /* clears the line; frees */

/* --- printing --- */

/* term.c: what the terminal can do, and text that cannot harm it. */
enum hv_style { HV_PLAIN, HV_BOLD, HV_DIM, HV_GREEN, HV_YELLOW, HV_RED, HV_CYAN };
extern struct hv_term {
  uint8_t out_tty, err_tty, out_color, err_color, utf8;
} hv_term;
int hv_term_init (const char *when); /* "auto", "always", "never"; 0 if it is none of them */
/* plain.c: text of a guest, in pieces. */
struct hv_plain {
  uint8_t held[4]; /* of a character that is not whole yet */
  uint32_t n;
  int state;
};
uint64_t hv_plain_text (struct hv_plain *, const uint8_t *data, uint64_t n,
                        char *out); /* `out`: room for 2 n + 4 bytes; how many there are */

uint32_t hv_term_columns (void); /* of stderr's or stdout's terminal; 80 if unknown */
const char *hv_term_on (FILE *, enum hv_style);
const char *hv_term_off (FILE *, enum hv_style);
/* Control characters, broken UTF-8 and characters that reorder text become visible escapes. */
uint32_t hv_term_utf8 (const char *, uint64_t n, uint32_t *ret); /* length of the sequence there and its code point; 0: broken */
int hv_term_harmful (uint32_t code_point);
char *hv_term_safe (struct hv_arena *, const char *, uint64_t n);
uint32_t hv_term_width (const char *safe); /* columns it takes */
void hv_term_wrap (FILE *, const char *safe, uint32_t indent,
                   uint32_t columns);                       /* prints words, breaking lines; no newline at the end */
HV_PRINTF (1, 2) void hv_term_error (const char *fmt, ...); /* "hvkit: …" on stderr, made safe */

/* format.c: one value for people. */
char *hv_format_value (struct hv_arena *, const struct hv_node *, const char *formatter,
                       uint64_t n); /* NULL node: "<none>"; safe text */
char *hv_format_bytes (struct hv_arena *, uint64_t);
char *hv_format_ms (struct hv_arena *, uint64_t);
char *hv_format_age (struct hv_arena *, int64_t ms_since_1970);
int hv_format_is_time (const char *field_name);
enum hv_style hv_format_style (const char *column, const char *text);

/* table.c */
struct hv_table {
  struct hv_arena *arena;
  uint32_t columns, rows, capacity;
  const char **header;
  struct hv_column {
    const char *path, *formatter;
    uint64_t path_size, formatter_size;
  } * column;
  uint32_t *width;
  const char ***cell; /* [row][column], safe text */
};
struct hv_table *hv_table_new (struct hv_arena *, const char *columns, const char *wide);
struct hv_table *hv_table_from_fields (struct hv_arena *, const struct hv_model_record *, const struct hv_node *rows);
void hv_table_add (struct hv_table *, const struct hv_node *row);
void hv_table_print_header (const struct hv_table *, FILE *, uint32_t indent);
void hv_table_print_row (const struct hv_table *, uint32_t row, FILE *, uint32_t indent);
void hv_table_print (const struct hv_table *, FILE *, uint32_t indent);

/* output.c: a result in the form that was asked for. */
void hv_output_result (struct hv_app *, const struct hv_model_method *, const struct hv_node *args, const struct hv_node *result);
struct hv_table *hv_output_table (struct hv_app *, const struct hv_model_method *, struct hv_arena *, const struct hv_node *result);
void hv_output_view (FILE *, struct hv_arena *, const struct hv_node *, const struct hv_model_record *, uint32_t indent);
void hv_output_json (FILE *, const struct hv_node *, int indent); /* indent 0: one line; ends with a newline */
void hv_output_yaml (FILE *, const struct hv_node *);

/* help.c */
int hv_help_main (struct hv_app *);
int hv_help_group (struct hv_app *, const struct hv_command *);
const char *hv_help_brief (struct hv_arena *, const char *doc); /* its first clause, made safe */
void hv_help_actions (struct hv_app *, const struct hv_model_instance *);
int hv_help_method (struct hv_app *, const struct hv_command *);
void hv_help_fields (FILE *, struct hv_arena *, const struct hv_model_record *); /* as reference: name, type, doc */
#endif
