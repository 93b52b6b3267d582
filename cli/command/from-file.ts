// `… create -f FILE.yaml`: the file holds the thing itself as the contract's JSON mapping writes it, several separated by ---.
import { create, type DescMessage, fromJson, type JsonValue, type MessageShape } from "@bufbuild/protobuf";
import { parseAllDocuments } from "yaml";
import { FilesystemService } from "#gen/metalstack/admin/v2/filesystem_pb.ts";
import { ImageService } from "#gen/metalstack/admin/v2/image_pb.ts";
import { NetworkService, NetworkServiceCreateRequestSchema } from "#gen/metalstack/admin/v2/network_pb.ts";
import { PartitionService } from "#gen/metalstack/admin/v2/partition_pb.ts";
import { SizeService } from "#gen/metalstack/admin/v2/size_pb.ts";
import { FilesystemLayoutSchema } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { ImageSchema } from "#gen/metalstack/api/v2/image_pb.ts";
import { NetworkSchema } from "#gen/metalstack/api/v2/network_pb.ts";
import { PartitionSchema } from "#gen/metalstack/api/v2/partition_pb.ts";
import { SizeSchema } from "#gen/metalstack/api/v2/size_pb.ts";
import { fail, ok, type Result } from "#lib/result.ts";
import { type Api, type Cli, readFile, say, wanted, withApi } from "../cli.ts";
import type { ConnectFlags, OutputFlags } from "../flags.ts";
import { type Output, oneText } from "../view/output.ts";

export type FileFlags = ConnectFlags & OutputFlags & { readonly file: string };

const documentsMax = 1000;

/** Every document of the file as a message; the error names the document and the field. */
export function readDocuments<D extends DescMessage>(schema: D, text: string): Result<readonly MessageShape<D>[]> {
  const parsed = parseAllDocuments(text);
  const documents = Array.isArray(parsed) ? parsed.filter((d) => d.contents !== null || d.errors.length > 0) : [];
  if (documents.length === 0) return fail("the file is empty");
  if (documents.length > documentsMax) return fail(`${documents.length} documents exceed ${documentsMax}`);
  const messages: MessageShape<D>[] = [];
  for (const [index, document] of documents.entries()) {
    const at = documents.length === 1 ? "" : `document ${index + 1}: `;
    const broken = document.errors[0];
    if (broken) return fail(`${at}not YAML: ${broken.message.split("\n")[0]}`);
    try {
      messages.push(fromJson(schema, document.toJS() as JsonValue));
    } catch (error) {
      return fail(`${at}${error instanceof Error ? error.message : error}`);
    }
  }
  return ok(messages);
}

/** Creates each thing of the file in turn and shows what came of it; stops at the first that is refused. */
const creator = <I extends DescMessage, O extends DescMessage>(
  input: I,
  output: O,
  make: (api: Api, value: MessageShape<I>) => Promise<MessageShape<O> | undefined>,
) =>
  async function (this: Cli, flags: FileFlags): Promise<void> {
    const read = readDocuments(input, await readFile(this, flags.file));
    const values = wanted(read.ok ? read : { ok: false, error: `${flags.file}: ${read.error}` });
    await withApi(this, flags, async (api) => {
      for (const value of values) {
        const made = (await make(api, value)) ?? create(output);
        say(this, createdText(output, made, flags.output));
      }
    });
  };

export function createdText<D extends DescMessage>(schema: D, value: MessageShape<D>, output: Output): string {
  if (output === "json" || output === "yaml") return oneText(schema, value, output);
  const named = value as { readonly id?: string; readonly uuid?: string; readonly login?: string };
  return `${named.id ?? named.uuid ?? named.login ?? ""}\n`;
}

export const createPartition = creator(
  PartitionSchema,
  PartitionSchema,
  async (api, partition) => (await api.client(PartitionService).create({ partition })).partition,
);
export const createSize = creator(
  SizeSchema,
  SizeSchema,
  async (api, size) => (await api.client(SizeService).create({ size })).size,
);
export const createImage = creator(
  ImageSchema,
  ImageSchema,
  async (api, image) => (await api.client(ImageService).create({ image })).image,
);
export const createLayout = creator(
  FilesystemLayoutSchema,
  FilesystemLayoutSchema,
  async (api, filesystemLayout) => (await api.client(FilesystemService).create({ filesystemLayout })).filesystemLayout,
);
export const createNetworkFromFile = creator(
  NetworkServiceCreateRequestSchema,
  NetworkSchema,
  async (api, request) => (await api.client(NetworkService).create(request)).network,
);
