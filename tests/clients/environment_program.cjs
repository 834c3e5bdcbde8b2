"use strict";
// One question as the SDK's own pages ask it, with no address but the environment's. Prints the answer.

const OpenAI = require("openai");

process.env.OPENAI_API_KEY = "key-of-a-test";
new OpenAI().chat.completions
  .create({ model: "gpt-4o-mini", messages: [{ role: "user", content: "Why are there tides?" }] })
  .then((answer) => console.log(answer.choices[0].message.content));
