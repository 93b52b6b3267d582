// How entries are told apart, and how the disk keeps their order.
const sequenceDigits = 20;

/** Of one subject only the latest fact counts. */
export const subjectOf = ({ kind, id }: { readonly kind: string; readonly id: string }): string => `${kind}/${id}`;

/** Text that sorts as the number does. */
export const keyOf = (sequence: bigint): string => `${sequence}`.padStart(sequenceDigits, "0");
