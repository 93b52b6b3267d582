// Reads TypeScript just well enough to judge its shape: what is code, what it imports, how long its functions are.

/** `code` has comments blanked; `bare` has texts and regular expressions blanked as well (with underscores). Both keep every line break. */
export interface Source {
  readonly code: string;
  readonly bare: string;
}

const lineComment = /\/\/[^\n]*/y;
const blockComment = /\/\*[\s\S]*?\*\//y;
const quoted = /"(?:\\[\s\S]|[^"\\\n])*"|'(?:\\[\s\S]|[^'\\\n])*'/y;
const regex = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[dgimsuvy]*/y;
const templatePart = /(?:\\[\s\S]|\$(?!\{)|[^`\\$])*/y;
/** A slash after one of these begins a regular expression; after anything else it divides. */
const beforeRegex = /(?:^|[(,=:[!&|?{};+\-*%~^<>]|\b(?:return|typeof|case|in|of|await|yield|void))\s*$/;

const blank = (text: string, by: string) => text.replace(/[^\n]/g, by);

export function readSource(text: string): Source {
  let code = "";
  let bare = "";
  let at = 0;
  /** For each open `${`, the depth of braces at which it closes. */
  const holes: number[] = [];
  let depth = 0;
  const take = (pattern: RegExp): string => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0] ?? "";
    at += found.length;
    return found;
  };
  const put = (found: string, isComment: boolean) => {
    code += isComment ? blank(found, " ") : found;
    bare += blank(found, isComment ? " " : "_");
  };
  const template = () => {
    put(take(templatePart), false);
    if (text.startsWith("${", at)) {
      holes.push(depth);
      at += 2;
      code += "${";
      bare += "__";
    } else {
      put(text[at++] ?? "", false);
    }
  };
  while (at < text.length) {
    const comment = take(lineComment) || take(blockComment);
    if (comment) {
      put(comment, true);
      continue;
    }
    const c = text[at] as string;
    const literal =
      c === '"' || c === "'"
        ? take(quoted)
        : c === "/" && beforeRegex.test(bare.trimEnd().slice(-12))
          ? take(regex)
          : "";
    if (literal) {
      put(literal, false);
      continue;
    }
    at++;
    if (c === "`") {
      put(c, false);
      template();
    } else if (c === "}" && holes.at(-1) === depth) {
      holes.pop();
      put(c, false);
      template();
    } else {
      if (c === "{") depth++;
      if (c === "}") depth--;
      code += c;
      bare += c;
    }
  }
  return { code, bare };
}

/** Specifiers of all imports, re-exports and dynamic imports, and of modules named with `new URL(…, import.meta.url)`. */
export function importsOf(source: Source): string[] {
  const patterns = [
    /\b(?:import|export)\b[^;"'`]*?\bfrom\s*["']([^"']+)["']/g,
    /\bimport\s*\(?\s*["']([^"']+)["']/g,
    /\bnew URL\(\s*["']([^"']+\.ts)["']\s*,\s*import\.meta\.url/g,
  ];
  return patterns.flatMap((p) => [...source.code.matchAll(p)].map((m) => m[1] as string));
}

const notAFunction = new Set(["if", "for", "while", "switch", "catch", "with"]);

/** @param before blanked code up to an opening brace */
function opensFunction(before: string): boolean {
  if (/=>\s*$/.test(before)) return true;
  const head = /\)\s*(?::[^;{}()=]+)?$/.exec(before);
  if (!head) return false;
  let open = head.index;
  for (let depth = 0; open >= 0; open--) {
    if (before[open] === ")") depth++;
    else if (before[open] === "(" && --depth === 0) break;
  }
  const word = /([\w$#]+)\s*(?:<[^(){};]*>)?\s*$/.exec(before.slice(Math.max(0, open - 200), Math.max(0, open)))?.[1];
  return word !== undefined && !notAFunction.has(word);
}

/** First line and number of lines of every function that has a body in braces; the lines of inner ones are theirs alone. */
export function functionsOf(source: Source): { readonly line: number; readonly ownLines: number }[] {
  const found: { line: number; ownLines: number }[] = [];
  const open: { isFunction: boolean; from: number; inner: number }[] = [];
  let line = 1;
  for (let at = 0; at < source.bare.length; at++) {
    const c = source.bare[at];
    if (c === "\n") line++;
    else if (c === "{") {
      open.push({ isFunction: opensFunction(source.bare.slice(Math.max(0, at - 2000), at)), from: line, inner: 0 });
    } else if (c === "}") {
      const closed = open.pop();
      if (closed === undefined) continue;
      const lines = line - closed.from + 1;
      if (closed.isFunction) found.push({ line: closed.from, ownLines: lines - closed.inner });
      const around = open.at(-1);
      if (around) around.inner += closed.isFunction ? lines : closed.inner;
    }
  }
  return found;
}
