export const version = "holdfast-0.1.0";
