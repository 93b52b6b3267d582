/** Header in which a person's program tells the agent on site who sits in front of it. A name for the records, no proof. */
export const userHeader = "holdfast-user";
