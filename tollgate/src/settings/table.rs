//! Every setting: its name, its default, its meaning.

/// One of them.
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    /// What holds when it is not set; empty for nothing.
    pub(crate) default: &'static str,
    /// For the configuration reference.
    pub(crate) meaning: &'static str,
}

/// The list for `tollgate serve --help`.
pub(crate) fn help() -> String {
    let mut text = "Settings, from the environment or tollgate.yaml.\n".to_owned();
    for (title, settings) in GROUPS {
        text.push_str(&format!("\n{title}:\n"));
        for Setting {
            name,
            default,
            meaning,
        } in *settings
        {
            let default = if default.is_empty() {
                String::new()
            } else {
                format!(" [{default}]")
            };
            text.push_str(&format!("\n  {name}{default}\n      {meaning}\n"));
        }
    }
    text
}

const fn setting(name: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting {
        name,
        default,
        meaning,
    }
}

/// All of them, one group after the other.
pub(crate) fn settings() -> impl Iterator<Item = &'static Setting> {
    GROUPS.iter().flat_map(|(_, settings)| *settings)
}

/// What belongs together, under the words that the configuration reference has for it.
#[rustfmt::skip]
pub(crate) const GROUPS: &[(&str, &[Setting])] = &[
    ("Addresses", &[
        setting("TOLLGATE_LISTEN", "127.0.0.1:8080", "Address and port for clients. Port 0 takes any free one."),
        setting("TOLLGATE_ALLOW_PUBLIC_BIND", "false", "`true` lets `TOLLGATE_LISTEN`, `TOLLGATE_METRICS_LISTEN` and `TOLLGATE_ADMIN_LISTEN` be addresses that other machines reach."),
        setting("TOLLGATE_PUBLIC_URL", "", "How clients and browsers reach the gateway, for the lines that it prints and for its pages, which are there under this host alone and need `https://`. Without it, the address it listens on."),
        setting("TOLLGATE_METRICS_LISTEN", "", "Address and port for operators: `/metrics` for Prometheus, and the health endpoints. Without it there are no metrics."),
        setting("TOLLGATE_ADMIN_LISTEN", "", "Address and port for the pages (`/ui`). Without it they are where clients are."),
        setting("TOLLGATE_TRUSTED_PROXIES", "127.0.0.0/8,::1", "Addresses and networks of proxies whose `x-forwarded-for` is believed; `none` for none."),
    ]),
    ("What is kept, and where", &[
        setting("TOLLGATE_DATA_DIR", "./tollgate-data", "Folder for the SQLite database, the master key file, and the socket by which another process takes over."),
        setting("TOLLGATE_DATABASE_URL", "", "`sqlite:PATH` or `postgres://…`. `DATABASE_URL` is read too. Without either, `tollgate.db` in the data folder."),
        setting("TOLLGATE_DATABASE_CONNECTIONS", "10", "Connections to the database at most."),
        setting("TOLLGATE_MASTER_KEY", "", "The master key: 32 random bytes in base64 or hex, or several as `1:<base64>,2:<base64>`. Every replica needs the same."),
        setting("TOLLGATE_MASTER_KEY_FILE", "", "File with the master key, mode 0600; made by the first start. Without it, `master.key` in the data folder."),
        setting("TOLLGATE_ADMIN_KEY", "", "The operator's admin key (`sk-tga-…`) that the first start takes instead of making one. Nothing asks for it yet: it is for the admin API to come."),
        setting("TOLLGATE_LEDGER_DURABILITY", "os", "When a call counts as written down, which it is before it is sent: `os`, when the kernel has it (the death of the process loses nothing, that of the machine the last 50 ms), or `strict`, when the disk has it."),
        setting("TOLLGATE_LEDGER_BYTES_MAX", "4294967296", "What the spool of the ledger, in the data folder, may take on the disk, in bytes. What was shipped to the database is kept for seven days, or until this is reached; with nothing left that may be removed, calls are refused."),
    ]),
    ("Logs and traces", &[
        setting("TOLLGATE_LOG", "info", "What is logged: `error`, `warn`, `info`, `debug`, or per part such as `info,gateway=debug`."),
        setting("TOLLGATE_LOG_FORMAT", "human", "`human` or `json`, one line for each call, on standard error."),
        setting("OTEL_EXPORTER_OTLP_ENDPOINT", "", "Collector to send traces to, such as `http://127.0.0.1:4318`, by OTLP over HTTP. Without it there are no traces."),
        setting("OTEL_EXPORTER_OTLP_HEADERS", "", "Headers for the collector: `name=value`, divided by commas, with `%2C` for a comma in a value."),
        setting("OTEL_SERVICE_NAME", "tollgate", "What this gateway is called in traces."),
    ]),
    ("What clients may take", &[
        setting("TOLLGATE_WORKERS", "0", "Threads that serve calls; 0 means one for each core."),
        setting("TOLLGATE_HEAD_TIMEOUT", "10s", "For a client to send the head of a request."),
        setting("TOLLGATE_IDLE_TIMEOUT", "60s", "For a client to begin its next request on an open connection."),
        setting("TOLLGATE_BODY_TIMEOUT", "2m", "For a client to send the body of a request."),
        setting("TOLLGATE_BODY_BYTES_MAX", "20971520", "The largest request body, in bytes."),
        setting("TOLLGATE_BODIES_BYTES_MAX", "536870912", "Bodies of all requests that are under way, in bytes; a call for which there is no room is refused."),
        setting("TOLLGATE_BODIES_BYTES_PER_TENANT_MAX", "134217728", "The same, of one tenant."),
        setting("TOLLGATE_ANSWERS_BYTES_MAX", "1073741824", "All answers that are not streams and are under way, in bytes; one for which there is no room is given up."),
        setting("TOLLGATE_ANSWERS_BYTES_PER_TENANT_MAX", "268435456", "The same, of one tenant."),
        setting("TOLLGATE_CALLS_PER_TENANT_MAX", "16384", "Calls of one tenant under way at most."),
        setting("TOLLGATE_WRITE_STALL_TIMEOUT", "30s", "For a client to take anything of what is sent to it, before its connection is closed."),
        setting("TOLLGATE_CONNECTIONS_MAX", "10000", "Open connections of clients at most."),
        setting("TOLLGATE_CONNECTIONS_PER_ADDRESS_MAX", "1000", "Of those, from one address. A trusted proxy is not held to it; the clients that it names are, for their open requests."),
        setting("TOLLGATE_FAILED_KEYS_MAX", "100", "Requests without a valid gateway key from one address in 10 s, before it is told to wait."),
        setting("TOLLGATE_KEEP_ALIVE", "0s", "Gives the client of a stream a sign of life when nothing has come for it for so long, such as `15s`: a comment, in Anthropic's dialect a `ping`, in Gemini's an empty line. With 0 there are none but the provider's own."),
        setting("TOLLGATE_KEEP_ALIVE_EARLY", "false", "`true` gives them before the provider has begun to answer, too. From the first on the status is 200: what goes wrong after it is told as an event of the stream, and headers that tell of the provider are missing."),
    ]),
    ("What providers may take", &[
        setting("TOLLGATE_UPSTREAM_CONNECT_TIMEOUT", "5s", "For a connection to a provider: name, TCP and TLS."),
        setting("TOLLGATE_UPSTREAM_FIRST_BYTE_TIMEOUT", "5m", "For a provider to begin a streamed answer. Reasoning models are silent for minutes."),
        setting("TOLLGATE_UPSTREAM_WHOLE_TIMEOUT", "10m", "For a provider to begin an answer that is not streamed, which it does when all of it is ready; and for one to hold nothing but comments or blank lines, by which a provider shows that it works on it."),
        setting("TOLLGATE_UPSTREAM_GAP_TIMEOUT", "5m", "Between two pieces of an answer, be they comments."),
        setting("TOLLGATE_UPSTREAM_TOTAL_TIMEOUT", "1h", "For a whole answer: for the provider to send it, and for the client to take it."),
        setting("TOLLGATE_ATTEMPTS_MAX", "3", "Attempts that a call makes at most, with one credential or target after the other, while providers fail. 1 for no further one."),
        setting("TOLLGATE_ATTEMPTS_TIMEOUT", "60s", "After the request, for a further attempt to begin."),
        setting("TOLLGATE_ON_CANCEL", "", "What is done with streams whose clients leave, by provider, such as `openai=drain,groq=abort`, where that is other than the catalogue says, which is `abort` for all: the stream is closed, and what was made of it by then is booked as an estimate. `drain` reads it on for its true usage, of 100 streams at the same time; `free` closes it and books no tokens."),
        setting("TOLLGATE_ON_CANCEL_TIMEOUT", "60s", "For a stream that is read on to end. What is left then is closed."),
        setting("TOLLGATE_UPSTREAM_CA_FILE", "", "More certificate authorities to believe of providers, in PEM."),
        setting("TOLLGATE_SERVICE_ACCOUNT_ANY_TOKEN_URI", "false", "`true` asks for the tokens of a service account wherever its key file says; otherwise only Google is asked, by https."),
    ]),
    ("Replicas, and a database that is away", &[
        setting("TOLLGATE_REVISION_POLL", "500ms", "How often the database is asked for changes. On Postgres changes are also announced."),
        setting("TOLLGATE_TENANT_IDLE", "15m", "A tenant without calls for this long is dropped from memory."),
        setting("TOLLGATE_TENANTS_CACHED_MAX", "100000", "Tenants in memory at most."),
        setting("TOLLGATE_STALE_KEYS", "15m", "For how long keys in memory are served without word from the database. After that they are refused, since nobody knows which were revoked."),
        setting("TOLLGATE_ON_STORE_OUTAGE", "deny", "What becomes of calls that are limited while the database is away, once what this process holds is spent: `deny` refuses them; `reserve` provides for it, by holding a part of each of the next 15 minutes."),
        setting("TOLLGATE_STORE_OUTAGE_RESERVE", "20", "How much of a limit that part is, of all processes together, in hundredths."),
    ]),
    ("Stopping", &[
        setting("TOLLGATE_DRAIN_TIMEOUT", "30s", "For calls under way to end after SIGTERM, or when another process has taken over."),
        setting("TOLLGATE_DRAIN_LINGER", "5s", "Of that, for a client that keeps its connection and is silent, to send one more request before it is closed."),
    ]),
    ("The Gemini CLI", &[
        setting("TOLLGATE_GEMINI_CLI", "", "The program `gemini`, for the provider `gemini-cli`: `bundle/gemini.js` of the npm package `@google/gemini-cli`. Without it that provider is switched off."),
        setting("TOLLGATE_GEMINI_CLI_NODE", "node", "What runs it: Node.js 20 or later, by its path, or by its name in `PATH`."),
        setting("TOLLGATE_GEMINI_CLI_ANY_VERSION", "false", "`true` takes a version of it that Tollgate was not tested with."),
        setting("TOLLGATE_GEMINI_CLI_MODE", "warm", "`warm` keeps its processes for the next calls; `cold` starts one for each call."),
        setting("TOLLGATE_GEMINI_CLI_PROXY", "", "Proxy by which it reaches Google, such as `http://127.0.0.1:3128`."),
        setting("TOLLGATE_GEMINI_CLI_RELAY", "false", "`true` lets its processes reach Google by a relay on loopback alone, which has the token that they do not get; the proxy is then for logins only."),
        setting("TOLLGATE_GEMINI_CLI_CA_FILE", "", "More certificate authorities that it believes, in PEM."),
        setting("TOLLGATE_GEMINI_CLI_PER_TENANT_MAX", "2", "Its processes at the same time, of one tenant."),
        setting("TOLLGATE_GEMINI_CLI_MEMORY_MAX", "3221225472", "Memory for all of its processes, in bytes: so many are run as fit in, at 300 MB each."),
        setting("TOLLGATE_GEMINI_CLI_QUEUE_MAX", "64", "Calls that wait for one of its processes, at most."),
        setting("TOLLGATE_GEMINI_CLI_QUEUE_TIMEOUT", "60s", "For a call to wait for one."),
        setting("TOLLGATE_GEMINI_CLI_IDLE_TIMEOUT", "2m", "For a process of it to be kept without a call."),
        setting("TOLLGATE_GEMINI_CLI_CALLS_MAX", "100", "Calls that one process serves, before another takes its place."),
        setting("TOLLGATE_GEMINI_CLI_RESIDENT_BYTES_MAX", "471859200", "What a process may hold in memory after a call, before another takes its place."),
        setting("TOLLGATE_GEMINI_CLI_START_TIMEOUT", "60s", "For a process to become ready."),
        setting("TOLLGATE_GEMINI_CLI_CALL_TIMEOUT", "10m", "For a call of it, from beginning to end."),
        setting("TOLLGATE_GEMINI_CLI_ANSWER_BYTES_MAX", "16777216", "The largest answer of it, in bytes of text."),
    ]),
    ("Logins with Google", &[
        setting("GOOGLE_CLIENT_ID", "", "The OAuth client by which tenants sign in with Google at `/ui/gemini`. Its redirect address is `/ui/gemini/callback` under `TOLLGATE_PUBLIC_URL`."),
        setting("GOOGLE_CLIENT_SECRET", "", "The secret of that client."),
        setting("TOLLGATE_GOOGLE_AHEAD", "10m", "How long before its end a login's token is renewed."),
    ]),
    ("For tests", &[
        setting("TOLLGATE_GOOGLE_AUTH_URL", "https://accounts.google.com/o/oauth2/v2/auth", "Where browsers are sent to sign in with Google."),
        setting("TOLLGATE_GOOGLE_TOKEN_URL", "https://oauth2.googleapis.com/token", "Where tokens are asked for."),
        setting("TOLLGATE_GOOGLE_USERINFO_URL", "https://www.googleapis.com/oauth2/v2/userinfo", "Where it is asked whose token it is."),
    ]),
];
