// The compiler: a module of its own, because what reads and checks policies is larger than all that decides by them. An
// isolate that finds a saved policy never starts it.

import module from "./compiler_bg.wasm";
import { __wbg_reset_state as renew, compile as compileTexts, initSync } from "./compiler_glue.js";

/**
 * Compiles what KV holds.
 *
 * @param {string | undefined} info
 * @param {string | undefined} policy
 * @param {string | undefined} managed
 * @param {string} customerId
 * @returns {Uint8Array} what became of it, for `Engine.take`
 */
export function compile(info, policy, managed, customerId) {
  initSync({ module });
  try {
    return compileTexts(info, policy, managed, customerId);
  } finally {
    // What an instance has once allocated, it keeps.
    renew();
  }
}
