import { PartitionService } from "#gen/holdfast/api/v1/partition_pb.ts";
import { JoinService } from "#gen/holdfast/join/v1/join_pb.ts";
import { type Implementation, implement } from "../services.ts";
import { type AdministrationPorts, joinAdministration } from "./administration.ts";
import { joinService } from "./join-service.ts";

/** All that is about agents that join: for them, and for administrators. */
export const joinServices = (ports: AdministrationPorts): readonly Implementation[] => [
  implement(JoinService, joinService(ports)),
  implement(PartitionService, joinAdministration(ports)),
];
