#!/usr/bin/env node
// `npx holdfast …`: lets Node read TypeScript, then is cli/main.ts.
import { register } from "tsx/esm/api";

register();
await import("./main.ts");
