/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every limit on what users, peers and their data control, in one place. docs/limits.md explains each and its answer.
 * The ones marked (core.json) are defaults that the node's core.json may change. */
#ifndef HV_CORE_LIMITS_H
#define HV_CORE_LIMITS_H

#define HV_LIMIT_REQUEST_BYTES        (1u << 20)  /* (core.json) one frame from a client */
#define HV_LIMIT_ANSWER_BYTES         (16u << 20) /* (core.json) one frame to a client, or from a plugin */
#define HV_LIMIT_DEPTH                32u         /* nesting of a message */
#define HV_LIMIT_MAP_KEYS             256u        /* keys of a free-form map */
#define HV_LIMIT_CONNECTIONS          512u        /* (core.json) all together */
#define HV_LIMIT_CONNECTIONS_PER_UID  32u         /* (core.json) of one uid that is neither root nor the daemon's */
#define HV_LIMIT_IN_FLIGHT            1024u       /* (core.json) calls of one connection that are not answered yet; reading stops above */
#define HV_LIMIT_OUTPUT_BYTES         (32u << 20) /* (core.json) unsent output of one connection; above, it is closed */
#define HV_LIMIT_OUTPUT_SOFT_BYTES    (1u << 20)  /* above, requests are not read and events are not written */
#define HV_LIMIT_EVENT_LOG            65536u      /* (core.json) events kept for resuming */
#define HV_LIMIT_EVENT_LOG_BYTES      (16u << 20) /* (core.json) and their bytes */
#define HV_LIMIT_SUBSCRIPTIONS        64u         /* of one connection */
#define HV_LIMIT_TOPIC_GLOBS          32u         /* of one subscription */
#define HV_LIMIT_METHOD_BYTES         100u
#define HV_LIMIT_CALL_DEPTH           16u         /* plugin calls plugin calls … */
#define HV_LIMIT_TIMEOUT_MS           86400000u   /* longest deadline a caller may ask for */
#define HV_LIMIT_COROUTINES           4096u       /* of one instance; calls above answer RESOURCE_EXHAUSTED */
#define HV_LIMIT_OFFLOAD_THREADS      4u          /* of one instance, plus one reserved for destroy */
#define HV_LIMIT_SLICE_WARN_MS        10u         /* plugin code that runs longer without yielding is logged */
#define HV_LIMIT_DRAIN_MS             5000u       /* a stopping instance's calls get this long */
#define HV_LIMIT_STREAMS              256u        /* (core.json) byte streams of one instance, attached or not yet */
#define HV_LIMIT_STREAMS_PER_UID      32u         /* (core.json) of one uid that is neither root nor the daemon's */
#define HV_LIMIT_STREAM_TOKEN_MS      30000u      /* (core.json) a stream's token is good for this long */
#define HV_LIMIT_STREAM_BUFFER_BYTES  (64u << 10) /* on their way through a stream, in each direction */
#define HV_LIMIT_STREAM_LINGER_MS     5000u       /* one side of a stream is gone: the other has this long to take what is left */
#define HV_LIMIT_MANIFEST_BYTES       (256u << 10)
#define HV_LIMIT_RECORD_BYTES         (4u << 20)  /* one document of the store */
#define HV_LIMIT_PLUGINS              128u
#endif
