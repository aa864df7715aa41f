// A compiled core that dies of some texts, as a panic would have it.

import binaryen from "binaryen";
import { builtModules } from "./site.js";

/** In which module of the bundle, what that exports, and which argument of that is the length of its first text. */
export const DECIDING = { file: "index_bg.wasm", name: "engine_decide", length: 2 };
export const COMPILING = { file: "compiler_bg.wasm", name: "compile", length: 1 };
/** A text of so many bytes is deadly. */
export const DEADLY = 20_000;

/** The modules of the bundle, but that a text of `DEADLY` bytes or more ends in `unreachable`, as a panic does. */
export function fragile({ file, name, length }) {
  const fragile = (module) => ({ ...module, contents: undermined(module.contents, name, length) });
  return builtModules().map((module) => (module.path.endsWith(file) ? fragile(module) : module));
}

/** Wraps a function. */
function undermined(wasm, exported, length) {
  const module = binaryen.readBinary(wasm);
  const { value: name } = binaryen.getExportInfo(module.getExport(exported));
  const { params, results } = binaryen.getFunctionInfo(module.getFunction(name));
  const types = binaryen.expandType(params);
  const args = types.map((type, index) => module.local.get(index, type));
  const isDeadly = module.i32.ge_u(module.local.get(length, binaryen.i32), module.i32.const(DEADLY));
  const body = module.block(null, [module.if(isDeadly, module.unreachable()), module.call(name, args, results)], results);
  module.addFunction("undermined", params, results, [], body);
  module.removeExport(exported);
  module.addFunctionExport("undermined", exported);
  return Buffer.from(module.emitBinary());
}
