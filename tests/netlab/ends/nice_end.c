/* An end of `make natlab` that is libnice: the reference for ours. The protocol with natlab is in
 * docs/netlab.md. netlab_nice_end [udp|tcp|both]: which transports it offers (both).
 * SPDX-License-Identifier: Apache-2.0 */
#include <nice/agent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GATHER_MS 8000 /* what has not been found by then is not offered */
#define LIMIT_MS 30000
/* A better pair may follow the first, and the other end may not be ready. */
#define LINGER_MS 1000

typedef struct end {
  GMainLoop *loop;
  NiceAgent *agent;
  guint stream;
  gint64 start_us, ready_us;
  bool is_told, is_over;
  char *remote_ufrag;
  GSList *remote;
} end;

static const char *setting(const char *name) {
  const char *value = getenv(name);
  if (value == NULL) {
    (void)fprintf(stderr, "nice_end: natlab sets %s\n", name);
    exit(2);
  }
  return value;
}

static guint port_of(const char *name) {
  return (guint)strtoul(setting(name), NULL, 10);
}

static bool is_relayed(const NiceCandidate *c) {
  return c->type == NICE_CANDIDATE_TYPE_RELAYED;
}

/* Says how it went, once, and ends. */
static void finish(end *e) {
  NiceCandidate *local = NULL;
  NiceCandidate *remote = NULL;
  if (e->is_over) {
    return;
  }
  e->is_over = true;
  if (e->ready_us != 0 && nice_agent_get_selected_pair(e->agent, e->stream, 1, &local, &remote)) {
    (void)printf("{\"path\": \"%s\", \"transport\": \"%s\", \"ms\": %.1f}\n",
                 is_relayed(local) || is_relayed(remote) ? "relay" : "direct",
                 local->transport == NICE_CANDIDATE_TRANSPORT_UDP ? "udp" : "tcp",
                 (double)(e->ready_us - e->start_us) / 1000);
  } else {
    (void)printf("{\"path\": \"none\"}\n");
  }
  (void)fflush(stdout);
  g_main_loop_quit(e->loop);
}

static gboolean on_linger(gpointer ctx) {
  finish(ctx);
  return G_SOURCE_REMOVE;
}

/* Tells the other end where we are: credentials and candidates. */
static void tell(end *e) {
  gchar *ufrag = NULL;
  gchar *password = NULL;
  GSList *list = NULL;
  if (e->is_told || !nice_agent_get_local_credentials(e->agent, e->stream, &ufrag, &password)) {
    return;
  }
  e->is_told = true;
  (void)printf("ufrag %s\npassword %s\n", ufrag, password);
  g_free(ufrag);
  g_free(password);
  list = nice_agent_get_local_candidates(e->agent, e->stream, 1);
  for (GSList *l = list; l != NULL; l = l->next) {
    gchar *text = nice_agent_generate_local_candidate_sdp(e->agent, l->data);
    (void)printf("%s\n", text);
    g_free(text);
  }
  g_slist_free_full(list, (GDestroyNotify)nice_candidate_free);
  (void)printf("done\n");
  (void)fflush(stdout);
}

static void on_gathered(NiceAgent *agent, guint stream, gpointer ctx) {
  (void)agent;
  (void)stream;
  tell(ctx);
}

static gboolean on_gather_limit(gpointer ctx) {
  tell(ctx);
  return G_SOURCE_REMOVE;
}

static void on_state(NiceAgent *agent, guint stream, guint component, guint state, gpointer ctx) {
  end *e = ctx;
  (void)agent;
  (void)stream;
  (void)component;
  if (state == NICE_COMPONENT_STATE_FAILED) {
    finish(e);
  } else if (state == NICE_COMPONENT_STATE_READY && e->ready_us == 0) {
    e->ready_us = g_get_monotonic_time();
    (void)g_timeout_add(LINGER_MS, on_linger, e);
  }
}

static void on_data(NiceAgent *agent, guint stream, guint component, guint len, gchar *bytes,
                    gpointer ctx) {
  (void)agent;
  (void)stream;
  (void)component;
  (void)len;
  (void)bytes;
  (void)ctx;
}

/* A line of the other end. */
static void hear(end *e, char *line) {
  if (g_str_has_prefix(line, "ufrag ")) {
    e->remote_ufrag = g_strdup(line + 6);
  } else if (g_str_has_prefix(line, "password ") && e->remote_ufrag != NULL) {
    (void)nice_agent_set_remote_credentials(e->agent, e->stream, e->remote_ufrag, line + 9);
  } else if (g_str_has_prefix(line, "a=candidate:")) {
    NiceCandidate *c = nice_agent_parse_remote_candidate_sdp(e->agent, e->stream, line);
    if (c != NULL) {
      e->remote = g_slist_append(e->remote, c);
    }
  } else if (strcmp(line, "done") == 0) {
    e->start_us = g_get_monotonic_time();
    if (nice_agent_set_remote_candidates(e->agent, e->stream, 1, e->remote) <= 0) {
      finish(e);
    }
    g_slist_free_full(e->remote, (GDestroyNotify)nice_candidate_free);
    e->remote = NULL;
  }
}

static gboolean on_input(GIOChannel *input, GIOCondition condition, gpointer ctx) {
  gchar *line = NULL;
  (void)condition;
  if (g_io_channel_read_line(input, &line, NULL, NULL, NULL) != G_IO_STATUS_NORMAL) {
    return G_SOURCE_REMOVE;
  }
  hear(ctx, g_strchomp(line));
  g_free(line);
  return G_SOURCE_CONTINUE;
}

static void set_servers(const end *e) {
  static const char *const hosts[] = {"NETLAB_SERVER", "NETLAB_SERVER6"};
  const char *user = setting("NETLAB_USER");
  const char *password = setting("NETLAB_PASSWORD");
  guint port = port_of("NETLAB_PORT");
  g_object_set(e->agent, "stun-server", setting("NETLAB_SERVER"), "stun-server-port", port, NULL);
  for (size_t i = 0; i < 2; i++) {
    const char *host = setting(hosts[i]);
    (void)nice_agent_set_relay_info(e->agent, e->stream, 1, host, port, user, password,
                                    NICE_RELAY_TYPE_TURN_UDP);
    (void)nice_agent_set_relay_info(e->agent, e->stream, 1, host, port, user, password,
                                    NICE_RELAY_TYPE_TURN_TCP);
  }
}

static void open_agent(end *e, const char *transports) {
  bool is_controlling = strcmp(setting("NETLAB_ROLE"), "controlling") == 0;
  e->agent = nice_agent_new_full(g_main_context_default(), NICE_COMPATIBILITY_RFC5245,
                                 NICE_AGENT_OPTION_REGULAR_NOMINATION);
  g_object_set(e->agent, "controlling-mode", is_controlling, "upnp", FALSE, "ice-udp",
               strcmp(transports, "tcp") != 0, "ice-tcp", strcmp(transports, "udp") != 0, NULL);
  g_signal_connect(e->agent, "candidate-gathering-done", G_CALLBACK(on_gathered), e);
  g_signal_connect(e->agent, "component-state-changed", G_CALLBACK(on_state), e);
  e->stream = nice_agent_add_stream(e->agent, 1);
  set_servers(e);
  if (e->stream == 0 ||
      !nice_agent_attach_recv(e->agent, e->stream, 1, g_main_context_default(), on_data, e) ||
      !nice_agent_gather_candidates(e->agent, e->stream)) {
    (void)fputs("nice_end: libnice does not gather\n", stderr);
    exit(1);
  }
}

int main(int argc, char **argv) {
  end e = {.loop = g_main_loop_new(NULL, FALSE)};
  GIOChannel *input = g_io_channel_unix_new(STDIN_FILENO);
  if (argc > 2) {
    (void)fputs("usage: netlab_nice_end [udp|tcp|both]\n", stderr);
    return 2;
  }
  open_agent(&e, argc == 2 ? argv[1] : "both");
  (void)g_io_channel_set_flags(input, G_IO_FLAG_NONBLOCK, NULL);
  (void)g_io_add_watch(input, G_IO_IN | G_IO_HUP, on_input, &e);
  (void)g_timeout_add(GATHER_MS, on_gather_limit, &e);
  (void)g_timeout_add(LIMIT_MS, on_linger, &e);
  g_main_loop_run(e.loop);
  g_io_channel_unref(input);
  nice_agent_remove_stream(e.agent, e.stream);
  g_object_unref(e.agent);
  g_main_loop_unref(e.loop);
  g_free(e.remote_ufrag);
  return 0;
}
