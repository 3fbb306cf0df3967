"""Singer tap for Demandbase's bulk export API."""
