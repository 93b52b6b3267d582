// The program of central, which can be killed at an await.
import "./kill-at-await.ts";
import "#central/main.ts";
