import type { Partition, PartitionQuery } from "#gen/metalstack/api/v2/partition_pb.ts";
import { hasLabels } from "../meta.ts";

export const partitionMatches = (partition: Partition, q: PartitionQuery | undefined): boolean =>
  q === undefined || ((q.id === undefined || partition.id === q.id) && hasLabels(partition.meta, q.labels));
