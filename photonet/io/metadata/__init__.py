"""What files say beside their pixels: EXIF, XMP, ICC profiles, TIFF directories, and what is known of a sensor."""
