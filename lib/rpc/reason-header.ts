/** Header of a request: why it is made, for those who read the history later. */
export const reasonHeader = "holdfast-reason";
