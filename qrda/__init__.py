"""Files that registries take: QRDA Category III read and judged, QPP JSON written."""
