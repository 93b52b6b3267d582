/**
 * Why a pause or a call ends that nobody needs any more. Made once: an abort without a reason makes an error of its own each time, which
 * takes longer than most of what is ended.
 */
export const noLonger = new Error("no longer needed");
