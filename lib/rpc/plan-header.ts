/** Header of a request: the hash of its plan. It does what was planned, or is refused. */
export const planHeader = "holdfast-plan";
