"""Client of Demandbase's bulk export and import APIs; independent of Singer."""
