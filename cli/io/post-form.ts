import { request as plainRequest } from "node:http";
import { request as secureRequest } from "node:https";
import { text } from "node:stream/consumers";
import type { PostForm } from "../cli.ts";

const timeoutMs = 30_000;
const answerBytesMax = 64 << 10;

/** One form by HTTP/1.1, whatever is answered. */
export const postForm: PostForm = ({ url, form, ca }, signal) =>
  new Promise((resolve, reject) => {
    const body = new URLSearchParams(form).toString();
    const send = url.startsWith("https:") ? secureRequest : plainRequest;
    const headers = { "content-type": "application/x-www-form-urlencoded", "content-length": Buffer.byteLength(body) };
    const options = { method: "POST", headers, timeout: timeoutMs, signal, ...(ca !== undefined && { ca }) };
    const request = send(url, options, (answer) => {
      let bytes = 0;
      answer.on("data", (chunk: Uint8Array) => {
        bytes += chunk.length;
        if (bytes > answerBytesMax) answer.destroy(new Error(`the answer exceeds ${answerBytesMax} bytes`));
      });
      text(answer).then((said) => resolve({ status: answer.statusCode ?? 0, body: said }), reject);
    });
    request.on("timeout", () => request.destroy(new Error(`no answer in ${timeoutMs / 1000} s`)));
    request.on("error", reject);
    request.end(body);
  });
