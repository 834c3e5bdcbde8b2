//! Names of span, event and resource attributes, of span events, and the values that the conventions fix.

/// `gen_ai.*`: what was asked and answered.
pub mod gen_ai {
    /// `chat`, `text_completion`, `embeddings`, `generate_content`.
    pub const OPERATION_NAME: &str = "gen_ai.operation.name";
    /// Whose model.
    pub const PROVIDER_NAME: &str = "gen_ai.provider.name";
    /// The agent that called.
    pub const AGENT_NAME: &str = "gen_ai.agent.name";
    /// The conversation, by the agent's own word.
    pub const CONVERSATION_ID: &str = "gen_ai.conversation.id";
    /// The model asked for.
    pub const REQUEST_MODEL: &str = "gen_ai.request.model";
    /// Whether a stream was asked for.
    pub const REQUEST_STREAM: &str = "gen_ai.request.stream";
    /// The largest answer asked for, in tokens.
    pub const REQUEST_MAX_TOKENS: &str = "gen_ai.request.max_tokens";
    /// Sampling temperature.
    pub const REQUEST_TEMPERATURE: &str = "gen_ai.request.temperature";
    /// Nucleus sampling.
    pub const REQUEST_TOP_P: &str = "gen_ai.request.top_p";
    /// The most likely tokens that are sampled from.
    pub const REQUEST_TOP_K: &str = "gen_ai.request.top_k";
    /// Penalty of frequent tokens.
    pub const REQUEST_FREQUENCY_PENALTY: &str = "gen_ai.request.frequency_penalty";
    /// Penalty of tokens that were there before.
    pub const REQUEST_PRESENCE_PENALTY: &str = "gen_ai.request.presence_penalty";
    /// The seed of sampling.
    pub const REQUEST_SEED: &str = "gen_ai.request.seed";
    /// Texts that end the answer.
    pub const REQUEST_STOP_SEQUENCES: &str = "gen_ai.request.stop_sequences";
    /// Choices asked for, where that is not one.
    pub const REQUEST_CHOICE_COUNT: &str = "gen_ai.request.choice.count";
    /// The kind of answer asked for: `text`, `json`, `image`, `speech`.
    pub const OUTPUT_TYPE: &str = "gen_ai.output.type";
    /// The provider's id of the answer.
    pub const RESPONSE_ID: &str = "gen_ai.response.id";
    /// The model that answered.
    pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
    /// One for each choice.
    pub const RESPONSE_FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
    /// Seconds.
    pub const RESPONSE_TIME_TO_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
    /// Tokens of the prompt, cached ones included.
    pub const USAGE_INPUT: &str = "gen_ai.usage.input_tokens";
    /// Tokens of the answer, reasoning included.
    pub const USAGE_OUTPUT: &str = "gen_ai.usage.output_tokens";
    /// Tokens read from the provider's cache.
    pub const USAGE_CACHE_READ: &str = "gen_ai.usage.cache_read.input_tokens";
    /// Tokens written to the provider's cache.
    pub const USAGE_CACHE_WRITE: &str = "gen_ai.usage.cache_creation.input_tokens";
    /// Tokens of reasoning.
    pub const USAGE_REASONING: &str = "gen_ai.usage.reasoning.output_tokens";
    /// The prompt's messages, where contents are captured.
    pub const INPUT_MESSAGES: &str = "gen_ai.input.messages";
    /// What was answered, likewise.
    pub const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";
    /// A system text beside the messages, likewise.
    pub const SYSTEM_INSTRUCTIONS: &str = "gen_ai.system_instructions";
    /// The tools declared, likewise.
    pub const TOOL_DEFINITIONS: &str = "gen_ai.tool.definitions";
    /// The tool that ran.
    pub const TOOL_NAME: &str = "gen_ai.tool.name";
    /// The id of its call.
    pub const TOOL_CALL_ID: &str = "gen_ai.tool.call.id";
    /// [`FUNCTION`]: what runs at the agent's.
    pub const TOOL_TYPE: &str = "gen_ai.tool.type";
    /// Of [`OPERATION_NAME`]: a tool runs.
    pub const EXECUTE_TOOL: &str = "execute_tool";
    /// Of [`TOOL_TYPE`].
    pub const FUNCTION: &str = "function";
}

/// Of the general conventions.
pub mod general {
    /// The upstream's host.
    pub const SERVER_ADDRESS: &str = "server.address";
    /// The upstream's port.
    pub const SERVER_PORT: &str = "server.port";
    /// Why it failed.
    pub const ERROR_TYPE: &str = "error.type";
    /// The request's method.
    pub const HTTP_METHOD: &str = "http.request.method";
    /// The status.
    pub const HTTP_STATUS: &str = "http.response.status_code";
    /// How many attempts came before.
    pub const HTTP_RESEND_COUNT: &str = "http.request.resend_count";
    /// The request's path, without query.
    pub const URL_PATH: &str = "url.path";
    /// The address that was connected to.
    pub const PEER_ADDRESS: &str = "network.peer.address";
    /// Its port.
    pub const PEER_PORT: &str = "network.peer.port";
    /// The version of HTTP spoken with the upstream.
    pub const PROTOCOL_VERSION: &str = "network.protocol.version";
    /// `chat_completions` or `responses`, for `OpenAI`'s own service.
    pub const OPENAI_API_TYPE: &str = "openai.api.type";
    /// The tier asked for, where that is not `auto`.
    pub const OPENAI_REQUEST_SERVICE_TIER: &str = "openai.request.service_tier";
    /// The tier that answered.
    pub const OPENAI_RESPONSE_SERVICE_TIER: &str = "openai.response.service_tier";
    /// What the answer was made by.
    pub const OPENAI_SYSTEM_FINGERPRINT: &str = "openai.response.system_fingerprint";
    /// Of the resource.
    pub const SERVICE_NAME: &str = "service.name";
    /// Of the resource.
    pub const SERVICE_VERSION: &str = "service.version";
    /// Of the resource: one process.
    pub const SERVICE_INSTANCE_ID: &str = "service.instance.id";
}

/// `pillion.*`: what the conventions have no name for. Durations are in seconds.
pub mod pillion {
    /// How the exchange ended.
    pub const OUTCOME: &str = "pillion.outcome";
    /// How many attempts were made.
    pub const ATTEMPTS: &str = "pillion.attempts";
    /// The configured destination.
    pub const UPSTREAM: &str = "pillion.upstream";
    /// The API spoken.
    pub const DIALECT: &str = "pillion.dialect";
    /// Why Pillion answered by itself.
    pub const REFUSAL: &str = "pillion.refusal";
    /// What the agent's SDK says it has repeated.
    pub const SDK_RETRY_COUNT: &str = "pillion.sdk.retry_count";
    /// How the agent's name is known.
    pub const AGENT_SOURCE: &str = "pillion.agent.source";
    /// Unicode scalar values of the prompt.
    pub const PROMPT_CHARACTERS: &str = "pillion.prompt.characters";
    /// Messages of the prompt.
    pub const PROMPT_MESSAGES: &str = "pillion.prompt.messages";
    /// Tokens of the prompt.
    pub const PROMPT_TOKENS: &str = "pillion.prompt.tokens";
    /// Whether those were estimated, for want of the provider's count.
    pub const PROMPT_TOKENS_ESTIMATED: &str = "pillion.prompt.tokens.estimated";
    /// Most tokens that the model takes.
    pub const PROMPT_WINDOW: &str = "pillion.prompt.window";
    /// Messages that were left out of the prompt.
    pub const TRIM_MESSAGES: &str = "pillion.trim.messages";
    /// Tokens that were taken away.
    pub const TRIM_TOKENS: &str = "pillion.trim.tokens";
    /// How: `shorten`, `drop`, `shorten_and_drop`.
    pub const TRIM_STRATEGY: &str = "pillion.trim.strategy";
    /// Tools declared.
    pub const TOOLS_DECLARED: &str = "pillion.tools.declared";
    /// Names of the tools that the answer calls.
    pub const TOOL_CALLS: &str = "pillion.tool_calls";
    /// The conversation, as Pillion has put it together.
    pub const CONVERSATION_ID: &str = "pillion.conversation.id";
    /// That a span is not told by who did the work, but gathered from traffic.
    pub const INFERRED: &str = "pillion.inferred";
    /// Making connections, all attempts together.
    pub const CONNECT_DURATION: &str = "pillion.connect.duration";
    /// To the reply's head.
    pub const FIRST_BYTE_DURATION: &str = "pillion.first_byte.duration";
    /// To the first content.
    pub const FIRST_TOKEN_DURATION: &str = "pillion.first_token.duration";
    /// The longest silence within the reply's body.
    pub const LONGEST_GAP_DURATION: &str = "pillion.longest_gap.duration";
    /// Our own share.
    pub const OVERHEAD_DURATION: &str = "pillion.overhead.duration";
    /// What the agent's SDK said it would wait.
    pub const AGENT_TIMEOUT: &str = "pillion.agent.timeout";
    /// How long it had waited when it hung up.
    pub const WAITED: &str = "pillion.waited";
}

/// Span events and their attributes.
pub mod event {
    /// An attempt was repeated.
    pub const RETRY: &str = "pillion.retry";
    /// A prompt was trimmed.
    pub const TRIM: &str = "pillion.trim";
    /// A clock fired.
    pub const TIMEOUT: &str = "pillion.timeout";
    /// A stream told an error.
    pub const STREAM_ERROR: &str = "pillion.stream_error";
    /// Of [`RETRY`]: why.
    pub const REASON: &str = "reason";
    /// Of [`RETRY`]: seconds waited before.
    pub const WAIT: &str = "wait";
    /// Of [`TRIM`]: messages left out.
    pub const MESSAGES: &str = "messages";
    /// Of [`TRIM`]: texts shortened.
    pub const TEXTS: &str = "texts";
    /// Of [`TRIM`]: tokens taken away.
    pub const TOKENS: &str = "tokens";
    /// Of [`TIMEOUT`]: which.
    pub const CLOCK: &str = "clock";
    /// Of [`STREAM_ERROR`]: the provider's own word.
    pub const TYPE: &str = "type";
}
